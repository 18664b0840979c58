"""Overlaps of sources and stores: what of a source lies in the staging store is never collected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from prefect_collect.codes import Failure
from prefect_collect.errors import CollectError, InvalidLocation
from prefect_collect.sources._item import STAGING_STORE, Content, Item, Listed, ListingEnd
from prefect_collect.sources._overlap import Overlap
from prefect_collect.sources._source import Source
from prefect_collect.sources.listing import proven, relisted
from prefect_collect.stores import Lies, Store, store_lies


@dataclass
class Outside:
    """A source without the items in the staging store; one skipped item stands for each folder or link into it."""

    name: str
    whole: Source
    overlapped: Overlap
    store: Store

    @property
    def warning(self) -> str:
        """The warning in the job's result."""
        # JSON cannot hold a path that is not UTF-8.
        url = os.fsencode(self.store.url).decode(errors="replace")
        return (
            f"The staging store lies in the source, in {self.overlapped.folder}, and was left out. Use a store outside "
            f"the source to keep the two apart. [{url}]"
        )

    def items(self) -> Iterator[Listed]:
        """Yield the store's folder as a skipped item, the other items, and the listing's end."""
        yield self._left_out(self.overlapped.folder)
        yield from self._kept(proven(self.whole), {self.overlapped.folder})

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as the source has it now."""
        for found in self._kept(relisted(self.whole, item), set()):
            if isinstance(found, Item) and found.expands is None and _is_left_out(found):
                found = replace(found, id=item.id, path=item.path)
            yield found
        yield ListingEnd("what the source said of the item was complete")

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item, as the source does."""
        return self.whole.open(item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items, as the source does."""
        return self.whole.read_many(items, concurrency)

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Return what an exception of the source means."""
        return self.whole.classify(error, item)

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the source and a store have in common."""
        return self.whole.overlap(store)

    def _kept(self, listing: Iterable[Listed], reported: set[str]) -> Iterator[Listed]:
        for listed in listing:
            if isinstance(listed, ListingEnd):
                yield ListingEnd(listed.proof)  # Its number of items was checked, and no longer holds here.
                continue
            entrance = self.overlapped.entrance(listed)
            if entrance is None:
                yield listed
            elif entrance not in reported:
                reported.add(entrance)
                yield replace(self._left_out(entrance), expands=listed.expands)

    def _left_out(self, entrance: str) -> Item:
        why = f"The staging store, which is left out of the collection. [{entrance}]"
        return Item(entrance, entrance, skipped=Failure(STAGING_STORE, why))


def _is_left_out(item: Item) -> bool:
    return item.skipped is not None and item.skipped.code == STAGING_STORE


def outside(source: Source, store: Store) -> Source:
    """Return the source without the items in the staging store: an `Outside`, or the source itself if they are apart.

    Raise InvalidLocation if the whole source would be left out.
    """
    overlap = source.overlap(store)
    if overlap is None:
        return source
    if overlap.lies is not Lies.INSIDE:
        raise InvalidLocation(
            "The source is the staging store or lies in it, so all of it would be left out; use a store outside the "
            f"source. [source={source.name}, store={store.url}]"
        )
    return Outside(source.name, source, overlap, store)


def require_collectable(source: Source, store: Store) -> None:
    """Raise InvalidLocation if the source lies in the staging store; do nothing if that cannot be determined now."""
    with _ignoring_unreachable():
        outside(source, store)


class Placed(Protocol):
    """What a package must not be written into: a source, or what is known of where one is."""

    def overlap(self, store: Store) -> Overlap | None:
        """Return what it and a store have in common; None if they are apart. Raise SourceError, StoreError."""


def require_destination(source: Placed | None, staging: Store, destination: Store) -> None:
    """Raise InvalidLocation if a package would be written into the source, or into the staging store.

    Do nothing if that cannot be determined now, as when a server does not answer.

    Args:
        source: The source of the collection; None if it is not known.
        staging: The staging store.
        destination: The store that the package is written to.
    """
    with _ignoring_unreachable():
        overlap = None if source is None else source.overlap(destination)
        if overlap is not None and overlap.lies is not Lies.AROUND:
            raise InvalidLocation(
                "The destination lies in the data source, so the package would change the source; use a destination "
                f"outside the source. [destination={destination.url}]"
            )
        if store_lies(destination, staging):
            raise InvalidLocation(
                "The destination lies in the staging store, which only jobs may write to; use a destination outside "
                f"it. [destination={destination.url}]"
            )


@contextmanager
def _ignoring_unreachable() -> Iterator[None]:
    """Ignore the errors of a source or store that cannot be reached: the job that uses it reports them."""
    try:
        yield
    except InvalidLocation:
        raise
    except (CollectError, OSError):
        return
