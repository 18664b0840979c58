"""What a slice, a schema or a table that could not be listed is now: for a retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from prefect_collect.connectors.sql.access import matches
from prefect_collect.connectors.sql.listing import table_items
from prefect_collect.connectors.sql.snapshots import Snapshot
from prefect_collect.connectors.sql.tables import named
from prefect_collect.sources import Item, Listed, ListingEnd


def again(snapshot: Snapshot, item: Item, version: str | None = None) -> Iterator[Listed]:
    """Yield a slice or a schema as it is now, in the snapshot; nothing if its table is gone.

    Of a table that could not be listed, yield its items and the listing's end.
    """
    what = named(item.id)
    with snapshot.session() as session:
        every = snapshot.tables(session)
    if not what.is_folder:
        if any(table.name == what.table for table in every):
            yield replace(
                item, size=None, modified=None, etag=None, version=version, skipped=None, failure=None, expands=None
            )
        return
    # A table that was named and was not there has no schema in its item's id.
    found = [table for table in every if table.name == what.table or matches(".".join(what.table), table.name)]
    for table in found:
        yield from table_items(snapshot, table, version, expands=item.id)
    if found:
        yield ListingEnd(f"the rows of the slices are those that the database counts ({snapshot.title})")
