"""The seam between jobs and data sources: what a source must be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol

from prefect_collect.codes import Failure
from prefect_collect.sources._item import Content, Item, Listed

if TYPE_CHECKING:
    from prefect_collect.sources.overlaps import Overlap
    from prefect_collect.stores import Store

SMALL_ITEM: Final = 1 << 20
"""Bytes up to which items are read many at a time, whole, through `Source.read_many`."""

MOST_AT_ONCE: Final = 8 * SMALL_ITEM
"""Bytes up to which an item that was listed as small is received as a whole."""


class Source(Protocol):
    """What a collection needs of a data source; `prefect_collect.blocks.DataSource` is the base to write one on."""

    name: str
    """Names the source to people, and in Prefect's concurrency limits."""

    def items(self) -> Iterator[Listed]:
        """Every item, streamed as the source lists it, and last one `ListingEnd`.

        The `ListingEnd` is yielded only where the source proved that nothing more comes; anything else raises. A
        listing that stops without it, or states another number of items than it gave, is `enumeration_failed` for the
        rest. Raises whatever the source's library does.
        """

    def relist(self, item: Item) -> Iterator[Listed]:
        """What the source says of an item now, for a retry: usually that item as it is at present.

        A folder that failed gives what is in it now, each with `expands` set, and last one `ListingEnd`, as it is a
        listing too. One item, or none if it is gone, needs no `ListingEnd`: an item that is not given stays in the
        account.
        """

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """The item's bytes and what the source says of them now. Raises whatever the source's library does."""

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items whole, up to `concurrency` at once, one try each, in the order they arrive.

        Takes from `items` only as places get free; an item that cannot be read comes with the exception.
        """

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """What an exception of this source means, for that item or (None) for listing.

        None if it is not an exception of the source.
        """

    def overlap(self, store: Store) -> Overlap | None:
        """What the source and a store have in common; None if they are apart. Raises SourceError, StoreError."""
