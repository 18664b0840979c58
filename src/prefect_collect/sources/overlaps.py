"""Sources and stores that lie in each other: what of a source is the staging store's is never collected."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from prefect_collect.codes import Failure
from prefect_collect.errors import CollectError, InvalidLocation
from prefect_collect.sources._item import STAGING_STORE, Content, Item, Listed, ListingEnd
from prefect_collect.sources._source import Source
from prefect_collect.sources.listing import proven, relisted
from prefect_collect.stores import Lies, Store, store_lies


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a source and a store have in common; `DataSource.overlap` gives it.

    Attributes:
        lies: where the store lies.
        folder: the id of the store's folder at the source, which ends in "/"; "" unless it lies inside.
        entrance: the id of the folder (or of the link) by which an item lies in the store; None if it does not. It may
            be called from several threads.
    """

    lies: Lies
    folder: str = ""
    entrance: Callable[[Item], str | None] = lambda _: None


@dataclass
class Outside:
    """A source without what lies in the staging store, in place of which there is one skipped item for each way in."""

    name: str
    whole: Source
    overlapped: Overlap
    store: Store

    @property
    def warning(self) -> str:
        """What a result says of it."""
        # A path that is no UTF-8 goes into no JSON document.
        url = os.fsencode(self.store.url).decode(errors="replace")
        return (
            f"The staging store lies in the source, in {self.overlapped.folder}, and was left out. Name a store "
            f"elsewhere to keep the two apart. [{url}]"
        )

    def items(self) -> Iterator[Listed]:
        """The items, the store's folder first, and the listing's end."""
        yield self._left_out(self.overlapped.folder)
        yield from self._kept(proven(self.whole), {self.overlapped.folder})

    def relist(self, item: Item) -> Iterator[Listed]:
        """What the source says of an item now."""
        for found in self._kept(relisted(self.whole, item), set()):
            if isinstance(found, Item) and found.expands is None and _is_left_out(found):
                found = replace(found, id=item.id, path=item.path)
            yield found
        yield ListingEnd("what the source said of the item was complete")

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """The item's bytes, as the source gives them."""
        return self.whole.open(item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items, as the source does."""
        return self.whole.read_many(items, concurrency)

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """What an exception of the source means."""
        return self.whole.classify(error, item)

    def overlap(self, store: Store) -> Overlap | None:
        """What the source and a store have in common."""
        return self.whole.overlap(store)

    def _kept(self, listing: Iterable[Listed], said: set[str]) -> Iterator[Listed]:
        for listed in listing:
            if isinstance(listed, ListingEnd):
                yield ListingEnd(listed.proof)  # The number of items that it states was compared, and is another now.
                continue
            entrance = self.overlapped.entrance(listed)
            if entrance is None:
                yield listed
            elif entrance not in said:
                said.add(entrance)
                yield replace(self._left_out(entrance), expands=listed.expands)

    def _left_out(self, entrance: str) -> Item:
        why = f"The staging store, which is left out of the collection. [{entrance}]"
        return Item(entrance, entrance, skipped=Failure(STAGING_STORE, why))


def _is_left_out(item: Item) -> bool:
    return item.skipped is not None and item.skipped.code == STAGING_STORE


def outside(source: Source, store: Store) -> Source:
    """The source without what lies in the staging store: an `Outside`, or the source itself if they are apart.

    Raises InvalidLocation if all of the source would be left out.
    """
    overlap = source.overlap(store)
    if overlap is None:
        return source
    if overlap.lies is not Lies.INSIDE:
        raise InvalidLocation(
            "The source is the staging store, or lies in it, so all of it would be left out; name a store elsewhere. "
            f"[source={source.name}, store={store.url}]"
        )
    return Outside(source.name, source, overlap, store)


def require_collectable(source: Source, store: Store) -> None:
    """Raise InvalidLocation if the source lies in the staging store. What cannot be found out now passes."""
    with _passing():
        outside(source, store)


def require_destination(source: Source | None, staging: Store, destination: Store) -> None:
    """Raise InvalidLocation if a package would be written into the source, or into the staging store.

    `source` is None where it is not known. What cannot be found out now (a server does not answer) passes.
    """
    with _passing():
        overlap = None if source is None else source.overlap(destination)
        if overlap is not None and overlap.lies is not Lies.AROUND:
            raise InvalidLocation(
                "The destination lies in the data source, and what is written there would change the source; name one "
                f"outside of it. [destination={destination.url}]"
            )
        if store_lies(destination, staging):
            raise InvalidLocation(
                "The destination lies in the staging store, which is kept for jobs; name one outside of it. "
                f"[destination={destination.url}]"
            )


@contextmanager
def _passing() -> Iterator[None]:
    """Let pass what a source or a store raises that cannot be reached: whoever uses it next says so."""
    try:
        yield
    except InvalidLocation:
        raise
    except (CollectError, OSError):
        return
