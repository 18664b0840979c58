"""The protocol `Source`: the methods by which jobs use a data source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

from prefect_collect.codes import Failure
from prefect_collect.sources._item import Content, Item, Listed
from prefect_collect.sources._overlap import Overlap
from prefect_collect.stores import Store

SMALL_ITEM: Final = 1 << 20
"""Bytes up to which an item is small: small items are read whole, many at a time, by `Source.read_many`."""

MOST_AT_ONCE: Final = 2 * SMALL_ITEM
"""Bytes up to which an item that was listed as small is received in one piece, if it has grown since.

So 128 such items at once take at most 256 MiB. One that has grown more is read again as a large item is.
"""


def expected_bytes(item: Item) -> int:
    """Return the bytes that reading a small item is expected to bring: those of `SMALL_ITEM` if its size is unknown."""
    return SMALL_ITEM if item.size is None else item.size


class Source(Protocol):
    """What a collection needs from a data source; the base class of sources is `prefect_collect.blocks.DataSource`."""

    name: str
    """The source's name in messages and in the name of its Prefect concurrency limit."""

    def items(self) -> Iterator[Listed]:
        """Yield every item as the source lists it and, last, one `ListingEnd`.

        Yield the `ListingEnd` only if the source proved that the listing is complete; raise in every other case. If a
        listing stops without it, or yields another number of items than it states, the job's enumeration fails
        (`enumeration_failed`). Exceptions of the source's library may be raised as they are.
        """

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as the source has it now, for a retry.

        Yield nothing if the item is gone; it stays in the job's account. An item of the same path under another id that
        the job does not have yet takes its place, as the corrected line of a list does. For a folder that could not be
        listed, yield the items that are in it now, each with `expands` set, and last one `ListingEnd`, as this is a
        listing too. A single item needs no `ListingEnd`.
        """

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item: its bytes, and what the source states about them now.

        Exceptions of the source's library may be raised as they are.
        """

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items whole, up to `concurrency` at once, one try each; yield them in the order of arrival.

        Take the next item from `items` only when one of the concurrent reads has ended. Yield an item that cannot be
        read with its exception.
        """

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Return what an exception of this source means, for an item or (None) for the listing.

        Return None if it is not an exception of the source.
        """

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the source and a store have in common; None if they are apart. Raise SourceError, StoreError."""
