"""Listing a source, and holding it to the proof that its listing is complete."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Final

from prefect_collect.errors import SourceError
from prefect_collect.sources._item import Item, Listed, ListingEnd
from prefect_collect.sources._source import Source
from prefect_collect.sources.item_checks import checked_items

_WHAT_TO_DO: Final = "a source yields all its items and, last, one ListingEnd (see docs/writing-a-source.md)"
_LONGEST_PROOF: Final = 4_000
"""Characters of a proof that the inventory keeps."""


def proven(source: Source) -> Iterator[Listed]:
    """Every item that a source lists, each checked (`checked_items`) and, last, its `ListingEnd`.

    Raises:
        SourceError: with the code `enumeration_failed`, if the source did not prove that its listing is complete: it
            yields no `ListingEnd`, one without a proof, more than one, items after it, or states another number of
            items than it yielded. What the source's library raises is passed on.
    """
    count = 0
    end: ListingEnd | None = None
    for listed in checked_items(source.items()):
        if end is not None:
            raise unproven(f"The source went on after its ListingEnd: {_WHAT_TO_DO}", source.name)
        if isinstance(listed, ListingEnd):
            end = listed
        else:
            count += 1
            yield listed
    yield _checked(end, count, source.name)


def items_of(source: Source) -> Iterator[Item]:
    """Every item that a source lists. Raises as `proven` does."""
    return (listed for listed in proven(source) if not isinstance(listed, ListingEnd))


def relisted(source: Source, item: Item) -> Iterator[Item]:
    """What a source says of an item now (`Source.relist`), each item checked (`checked_items`).

    Raises:
        SourceError: with the code `enumeration_failed`, if the item is a folder that is listed again and the source
            did not prove that this listing is complete. What the source's library raises is passed on.
    """
    count = 0
    is_folder = False
    end: ListingEnd | None = None
    for listed in checked_items(source.relist(item), item.id):
        if end is not None:
            raise unproven(f"The source went on after its ListingEnd: {_WHAT_TO_DO}", item.id)
        if isinstance(listed, ListingEnd):
            end = listed
        else:
            count += 1
            is_folder = is_folder or listed.expands is not None
            yield listed
    if is_folder:
        _checked(end, count, item.id)


def require_end(end: ListingEnd | None, place: str) -> ListingEnd:
    """Return the end of a listing, as it can be recorded.

    Raise SourceError (`enumeration_failed`) if there is none, or one without a proof or with a number that is none.
    """
    if end is None:
        raise unproven(f"The listing stopped without proof that it is complete: {_WHAT_TO_DO}", place)
    if not isinstance(end.proof, str) or not end.proof.strip():
        raise unproven(f"The ListingEnd says nothing in its proof: {_WHAT_TO_DO}", place)
    proof = end.proof[: _LONGEST_PROOF + 1].encode("utf-8", "backslashreplace").decode()
    proof = proof if len(proof) <= _LONGEST_PROOF else f"{proof[: _LONGEST_PROOF - 1]}…"
    return ListingEnd(proof, _stated(end, place))


def _stated(end: ListingEnd, place: str) -> int | None:
    """The number of items that a listing's end states, as Python's int: numbers of other libraries are no JSON."""
    if end.items is None:
        return None
    try:
        return operator.index(end.items)
    except TypeError:
        raise unproven(f"The ListingEnd states {end.items!r:.100} items: {_WHAT_TO_DO}", place) from None


def unproven(message: str, place: str) -> SourceError:
    """The error of a listing that is not proven to be complete; its message ends in `[place]`."""
    return SourceError(f"{message}. [{place}]", code="enumeration_failed")


def _checked(end: ListingEnd | None, count: int, place: str) -> ListingEnd:
    end = require_end(end, place)
    if end.items is not None and end.items != count:
        raise unproven(f"The source states {end.items:,} items but listed {count:,}", place)
    return end


def without_end(listing: Iterable[Listed], ends: list[ListingEnd]) -> Iterator[Item]:
    """The items of a listing; its `ListingEnd` is appended to `ends` instead."""
    for listed in listing:
        if isinstance(listed, ListingEnd):
            ends.append(listed)
        else:
            yield listed
