"""A database while an attempt works on it: one snapshot, from the listing to the last slice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_collect.connectors.sql.access import KINDS, Access
from prefect_collect.connectors.sql.listing import listed
from prefect_collect.connectors.sql.relisting import again
from prefect_collect.connectors.sql.sharing import held_snapshot
from prefect_collect.connectors.sql.snapshots import Snapshot
from prefect_collect.sources import Item, Listed, Source
from prefect_collect.sources.query import Query


@dataclass
class HeldSource:
    """A source whose listings are of one snapshot, in which its items are read.

    Attributes:
        source: The source.
        snapshot: The snapshot.
        warnings: What the result of the attempt has to say about it.
    """

    source: Source
    snapshot: Snapshot
    warnings: list[str] = field(default_factory=list)

    def items(self) -> Iterator[Listed]:
        """Yield the items as they are in the snapshot."""
        yield from listed(self.snapshot, None, self.snapshot.require_begun())

    def items_for(self, query: Query) -> Iterator[Listed]:
        """Yield the items of the tables in which the query may take something."""
        yield from listed(self.snapshot, query, self.snapshot.require_begun())

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is in the snapshot."""
        yield from again(self.snapshot, item, self.snapshot.require_begun())

    def marked(self, item: Item) -> Item:
        """Return an item so that it is read in the snapshot."""
        if item.version is not None or item.unread is not None:
            return item
        return replace(item, version=self.snapshot.require_begun())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)


@contextmanager
def held(source: Source, access: Access, *, elsewhere: bool) -> Iterator[HeldSource]:
    """Yield the source with a snapshot that is held to the end of the `with` block.

    Args:
        source: The source.
        access: Its database.
        elsewhere: Whether other processes read items too.
    """
    with held_snapshot(access) as snapshot:
        found = HeldSource(source, snapshot)
        if elsewhere and access.dialect != "postgresql":
            found.warnings.append(
                f"{KINDS[access.dialect]} does not share a snapshot with other processes, so each worker process read "
                "in one of its own; the metadata of each item names it. Use the runner threads to read all in one. "
                f"[{access.place}]"
            )
        yield found
