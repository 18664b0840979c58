"""A look at a source before it is collected: the first items that it lists, and how many of them a query takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Final, TypeVar

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.errors import SourceError
from prefect_collect.escaping import one_line
from prefect_collect.sources._item import Item, Listed, ListingEnd
from prefect_collect.sources._source import Source
from prefect_collect.sources.listing import proven
from prefect_collect.sources.query import Query
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by

T = TypeVar("T")

FIRST: Final = 20
"""The first items of a sample, which a user is shown."""

MOST: Final = 10_000
"""The most items of a sample."""

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
            listed; "skipped": symbolic links; "not_attempted": what is elsewhere), and by error code.
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

    @property
    def elsewhere(self) -> int:
        """How many items the source only names."""
        return sum(self.outcomes.get("not_attempted", {}).values())


def take_sample(source: Source, most: int, seconds: float) -> Sample:
    """List up to `most` items of a source, for at most so many seconds; a listing that hangs is given up.

    Never raises for what the source does: `Sample.failure` says what went wrong.
    """
    found: list[Item] = []

    def look(stop: Stop) -> bool:
        for item in proven(source):
            if isinstance(item, ListingEnd):
                return True
            if len(found) == most or stop.canceled:
                return False
            found.append(item)
        return True

    try:
        is_whole = look_for(seconds, look)
    except LookGivenUp:
        return Sample(tuple(found), timed_out=True)
    except Exception as error:
        return Sample(tuple(found), failure=failure_of(source, error))
    return Sample(tuple(found), is_whole=is_whole)


class LookGivenUp(Exception):
    """A look at a source took too long."""


def look_for(seconds: float, look: Callable[[Stop], T]) -> T:
    """Return what `look` returns, which lists a source; a look that hangs is given up, and its `Stop` is set.

    Raises:
        LookGivenUp: It took longer than so many seconds.
        SourceError: With the code `timeout`, if too many looks of this process hang. What `look` raises passes through.
    """
    stop = Stop()

    def looking() -> T:
        try:
            return look(stop)
        finally:
            _looks.release()

    if not _looks.acquire(blocking=False):
        why = "Too many sources that were looked at have not answered; wait until they do. [looks]"
        raise SourceError(why, code="timeout")
    with stopped_by(stop):
        work: Future[T] = in_background(looking, name="sample")
    if not wait([work], timeout=seconds).done:
        stop.set(CANCELED)
        raise LookGivenUp(f"The source did not answer within {seconds:.0f} seconds.")
    return work.result()


def failure_of(source: Source, error: Exception) -> Failure:
    """Return what an error of a source's listing means."""
    known = source.classify(error)
    if known is not None:
        return known
    if isinstance(error, SourceError):
        return Failure(error.code, str(error), error.http_status)
    return Failure("unexpected_error", f"{type(error).__name__}: {one_line(str(error))}")


@dataclass
class Counted:
    """Counts what a query takes: the items that would be read, and the others by outcome and error code."""

    items: int = 0
    bytes: int = 0
    unsized: int = 0
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    limited: bool = False

    def add(self, listed: Listed) -> None:
        """Count an item, or the end of a listing that the query's limit cut short."""
        if isinstance(listed, ListingEnd):
            self.limited = True
        elif (why := listed.unread) is not None and listed.outcome is not None:
            codes = self.outcomes.setdefault(listed.outcome, {})
            codes[why.code] = codes.get(why.code, 0) + 1
        else:
            self.items += 1
            self.bytes += listed.size or 0
            self.unsized += listed.size is None


def taken(sample: Sample, query: Query) -> Taken:
    """Return what a query takes of a sample."""
    counted = Counted()
    for listed in query.select(sample.items):
        counted.add(listed)
    return Taken(
        counted.items,
        counted.bytes,
        counted.unsized,
        counted.outcomes,
        len(sample.items),
        sample.is_whole or counted.limited,
    )
