"""What a slice, a schema or a table that could not be listed is now: for a retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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
        table = snapshot.table(session, what.table)
    if table is None:
        return
    if not what.is_folder:
        yield replace(
            item, size=None, modified=None, etag=None, version=version, skipped=None, failure=None, expands=None
        )
        return
    yield from table_items(snapshot, table, version, expands=item.id)
    yield ListingEnd(f"the rows of the slices are those that the database counts ({snapshot.title})")
