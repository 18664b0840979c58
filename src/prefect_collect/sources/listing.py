"""Listing a source, with a check of the proof that the listing is complete."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol, cast

from prefect_collect.errors import SourceError
from prefect_collect.sources._item import Item, Listed, ListingEnd
from prefect_collect.sources._source import Source
from prefect_collect.sources.item_checks import checked_items
from prefect_collect.sources.query import Query

_WHAT_TO_DO: Final = "a source yields all its items and, last, one ListingEnd (see docs/writing-a-source.md)"
_LONGEST_PROOF: Final = 4_000
"""The most characters of a proof that the inventory stores."""


class Narrowing(Protocol):
    """A source whose class can leave out of its listing what a query does not take."""

    def items_for(self, query: Query) -> Iterator[Listed]:
        """Yield what `Source.items` yields, except for some or all of the items that the query does not take."""


class HeldItems(Protocol):
    """The items that earlier jobs hold, as their sources listed them then."""

    @property
    def folders(self) -> Collection[str]:
        """What stands before the last "/" of the ids."""

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return each of these items; None for one that no job holds."""


class Continuing(Protocol):
    """A source whose class need not ask again what an item is that an earlier job holds.

    The source has to prove that the item is still there, and that its id means the same bytes as it did then.
    """

    def items_since(self, query: Query, held: HeldItems) -> Iterator[Listed]:
        """Yield what `Narrowing.items_for` yields; items that are held, as they were listed then."""


def proven(source: Source, query: Query | None = None, held: HeldItems | None = None) -> Iterator[Listed]:
    """Yield every item that a source lists, each checked (`checked_items`) and, last, its `ListingEnd`.

    With a query, a source that can (`Narrowing`) leaves out items that the query does not take. With a query and what
    is held, a source that can (`Continuing`) does not ask its server about held items again.

    Raises:
        SourceError: With the code `enumeration_failed`, if the source did not prove that its listing is complete: it
            yields no `ListingEnd`, one without a proof, more than one, items after it, or states another number of
            items than it yielded. Exceptions of the source's library pass through.
    """
    count = 0
    end: ListingEnd | None = None
    for listed in checked_items(_items(source, query, held)):
        if end is not None:
            raise unproven(f"The source yielded more after its ListingEnd: {_WHAT_TO_DO}", source.name)
        if isinstance(listed, ListingEnd):
            end = listed
        else:
            count += 1
            yield listed
    yield _checked(end, count, source.name)


def can_continue(source: Source) -> bool:
    """Return whether the source lists what is new since earlier jobs (`Continuing`)."""
    # Of the class: a wrapper of a source that passes on all that it lacks has a listing of its own.
    return hasattr(type(source), "items_since")


def _items(source: Source, query: Query | None, held: HeldItems | None) -> Iterator[Listed]:
    if query is not None and held is not None and can_continue(source):
        return cast("Continuing", source).items_since(query, held)
    if query is not None and hasattr(type(source), "items_for"):
        return cast("Narrowing", source).items_for(query)
    return source.items()


def items_of(source: Source) -> Iterator[Item]:
    """Yield every item that a source lists. Raise as `proven` does."""
    return (listed for listed in proven(source) if not isinstance(listed, ListingEnd))


def relisted(source: Source, item: Item) -> Iterator[Item]:
    """Yield an item as its source has it now (`Source.relist`), or the items of a folder, each checked.

    Raises:
        SourceError: With the code `enumeration_failed`, if the item is a folder and the source did not prove that its
            new listing is complete. Exceptions of the source's library pass through.
    """
    count = 0
    is_folder = False
    end: ListingEnd | None = None
    for listed in checked_items(source.relist(item), item.id):
        if end is not None:
            raise unproven(f"The source yielded more after its ListingEnd: {_WHAT_TO_DO}", item.id)
        if isinstance(listed, ListingEnd):
            end = listed
        else:
            count += 1
            is_folder = is_folder or listed.expands is not None
            yield listed
    if is_folder:
        _checked(end, count, item.id)


def require_end(end: ListingEnd | None, place: str) -> ListingEnd:
    """Return the end of a listing in the form in which it is recorded.

    Raise SourceError (`enumeration_failed`) if there is no end, or it has no proof or an unusable number of items.
    """
    if end is None:
        raise unproven(f"The listing stopped without proof that it is complete: {_WHAT_TO_DO}", place)
    if not isinstance(end.proof, str) or not end.proof.strip():
        raise unproven(f"The ListingEnd has an empty proof: {_WHAT_TO_DO}", place)
    proof = end.proof[: _LONGEST_PROOF + 1].encode("utf-8", "backslashreplace").decode()
    proof = proof if len(proof) <= _LONGEST_PROOF else f"{proof[: _LONGEST_PROOF - 1]}…"
    return ListingEnd(proof, _stated(end, place), end.warnings)


def _stated(end: ListingEnd, place: str) -> int | None:
    """Return the number of items that a listing's end states, as an int: numbers of other libraries are not JSON."""
    if end.items is None:
        return None
    try:
        return operator.index(end.items)
    except TypeError:
        raise unproven(f"The ListingEnd states {end.items!r:.100} items: {_WHAT_TO_DO}", place) from None


def unproven(message: str, place: str) -> SourceError:
    """Return the error of a listing that is not proven to be complete; its message ends in `[place]`."""
    return SourceError(f"{message}. [{place}]", code="enumeration_failed")


def _checked(end: ListingEnd | None, count: int, place: str) -> ListingEnd:
    end = require_end(end, place)
    if end.items is not None and end.items != count:
        raise unproven(f"The source states {end.items:,} items but listed {count:,}", place)
    return end


def without_end(listing: Iterable[Listed], ends: list[ListingEnd]) -> Iterator[Item]:
    """Yield the items of a listing; append its `ListingEnd` to `ends`."""
    for listed in listing:
        if isinstance(listed, ListingEnd):
            ends.append(listed)
        else:
            yield listed
