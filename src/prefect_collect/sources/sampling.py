"""A look at a source before it is collected: the first items that it lists, and how many of them a query takes."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Final

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.escaping import one_line
from prefect_collect.sources._item import Item, ListingEnd
from prefect_collect.sources._source import Source
from prefect_collect.sources.listing import proven
from prefect_collect.sources.query import Query
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by

_MOST_AT_ONCE: Final = 16
"""The most looks of this process at once, with those that were given up and still hang."""

_looks = threading.BoundedSemaphore(_MOST_AT_ONCE)


@dataclass(frozen=True)
class Sample:
    """The first items that a source lists.

    Attributes:
        items: The items, in the source's order.
        is_whole: True if the source has no more items, and has proved it.
        failure: Why the listing failed; None if it did not.
        timed_out: True if the listing took longer than it was given.
    """

    items: tuple[Item, ...]
    is_whole: bool = False
    failure: Failure | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class Taken:
    """What a query takes of a sample.

    Attributes:
        items: The items that would be read.
        bytes: The bytes that the source states for them.
        unsized: How many of them have no stated size.
        outcomes: The items that would be reported without being read, by outcome ("failed": folders that cannot be
            listed; "skipped": links), and by error code.
        listed: The items of the sample.
        is_whole: True if the sample is the whole source, or the query's limit was reached in it.
    """

    items: int
    bytes: int
    unsized: int
    outcomes: dict[str, dict[str, int]]
    listed: int
    is_whole: bool

    @property
    def failed(self) -> int:
        """How many items would fail without being read."""
        return sum(self.outcomes.get("failed", {}).values())

    @property
    def skipped(self) -> int:
        """How many items would be skipped."""
        return sum(self.outcomes.get("skipped", {}).values())


def take_sample(source: Source, most: int, seconds: float) -> Sample:
    """List up to `most` items of a source, for at most so many seconds; a listing that hangs is given up.

    Never raises for what the source does: `Sample.failure` says what went wrong.
    """
    found: list[Item] = []
    stop = Stop()

    def look() -> bool:
        try:
            for item in proven(source):
                if isinstance(item, ListingEnd):
                    return True
                if len(found) == most or stop.canceled:
                    return False
                found.append(item)
            return True
        finally:
            _looks.release()

    if not _looks.acquire(blocking=False):
        why = "Too many sources that were looked at have not answered; wait until they do. [looks]"
        return Sample((), failure=Failure("timeout", why))
    with stopped_by(stop):
        work = in_background(look, name="sample")
    if not wait([work], timeout=seconds).done:
        stop.set(CANCELED)
        return Sample(tuple(found), timed_out=True)
    error = work.exception()
    if error is None:
        return Sample(tuple(found), is_whole=work.result())
    if not isinstance(error, Exception):
        raise error
    return Sample(tuple(found), failure=_failure(source, error))


def _failure(source: Source, error: Exception) -> Failure:
    known = source.classify(error)
    if known is not None:
        return known
    return Failure("unexpected_error", f"{type(error).__name__}: {one_line(str(error))}")


def outcome_of(item: Item) -> str:
    """Return what a listed item comes to without being read: "failed" or "skipped"; "" if it is read."""
    if item.failure is not None:
        return "failed"
    return "" if item.skipped is None else "skipped"


def taken(sample: Sample, query: Query) -> Taken:
    """Return what a query takes of a sample."""
    items = size = unsized = 0
    outcomes: dict[str, dict[str, int]] = {}
    limited = False
    for listed in query.select(sample.items):
        if isinstance(listed, ListingEnd):
            limited = True
        elif (why := listed.failure or listed.skipped) is not None:
            codes = outcomes.setdefault(outcome_of(listed), {})
            codes[why.code] = codes.get(why.code, 0) + 1
        else:
            items += 1
            size += listed.size or 0
            unsized += listed.size is None
    return Taken(items, size, unsized, outcomes, len(sample.items), sample.is_whole or limited)
