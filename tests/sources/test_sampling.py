"""A look at the first items of a source, and at what a query takes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from prefect_collect.sources import Item, Listed, ListingEnd, sampling
from prefect_collect.sources.query import Query
from prefect_collect.sources.sampling import Sample, take_sample, taken
from tests.support.memory_source import MemorySource, Thing


def source(count: int, **how: Any) -> MemorySource:
    """Return a source of so many items of 10 bytes."""
    return MemorySource({f"{number:03}.txt": Thing(data=b"0123456789") for number in range(count)}, **how)


@pytest.mark.parametrize(
    ("count", "most", "seen", "whole"), [(5, 9, 5, True), (9, 9, 9, True), (10, 9, 9, False), (0, 9, 0, True)]
)
def test_first_items(count: int, most: int, seen: int, whole: bool) -> None:
    """Up to `most` items are listed, and the sample says whether these are all."""
    sample = take_sample(source(count), most, 30)
    assert (len(sample.items), sample.is_whole, sample.failure, sample.timed_out) == (seen, whole, None, False)


def test_a_listing_that_fails() -> None:
    """The failure has a code and a sentence, and the items before it are there."""
    sample = take_sample(source(5, breaks_after=3), 9, 30)
    assert (len(sample.items), sample.is_whole) == (3, False)
    assert sample.failure is not None
    assert (sample.failure.code, sample.failure.message) == ("connection_lost", "The listing broke off.")


def test_a_listing_that_proves_nothing() -> None:
    """A source that just stops is not taken for listed."""

    class Unproven(MemorySource):
        def items(self) -> Iterator[Listed]:
            yield Item("a", "a")

    sample = take_sample(Unproven(), 9, 30)
    assert sample.failure is not None
    assert (len(sample.items), sample.is_whole, sample.failure.code) == (1, False, "enumeration_failed")


@dataclass
class Hanging(MemorySource):
    """A source that lists one item, and hangs until it is let go."""

    gate: threading.Event = field(default_factory=threading.Event)

    def items(self) -> Iterator[Listed]:
        """Yield one item; then hang."""
        yield Item("a", "a", 1)
        self.gate.wait()
        yield ListingEnd("that was all")


def test_a_listing_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after its time; of those that hang there are only so many at once, and then again others."""
    monkeypatch.setattr(sampling, "_looks", threading.BoundedSemaphore(2))
    one, two = Hanging(), Hanging()
    for hanging in (one, two):
        sample = take_sample(hanging, 9, 0.1)
        assert (len(sample.items), sample.timed_out, sample.is_whole) == (1, True, False)
    refused = take_sample(source(1), 9, 30)
    assert refused.failure is not None
    assert "Too many" in refused.failure.message
    one.gate.set()
    assert sampling._looks.acquire(timeout=30)
    sampling._looks.release()
    assert take_sample(source(1), 9, 30).is_whole
    two.gate.set()
    for _ in range(2):  # the looks end before the next test, whose semaphore they would release
        assert sampling._looks.acquire(timeout=30)


def test_what_a_query_takes() -> None:
    """Items, bytes, items without a size, those that fail or are skipped; a limit makes the number whole."""
    things = {
        "a.txt": Thing(data=b"12"),
        "b.txt": Thing("unknown_size", b"345"),
        "c.txt": Thing("skipped"),
        "e.txt": Thing("unlisted_failure"),
        "d.pdf": Thing(data=b"6"),
    }
    sample = take_sample(MemorySource(things), 9, 30)
    found = taken(sample, Query(include=("*.txt",)))
    assert (found.items, found.bytes, found.unsized, found.listed, found.is_whole) == (2, 2, 1, 5, True)
    assert (found.failed, found.skipped) == (1, 1)
    assert {outcome: [*codes.values()] for outcome, codes in found.outcomes.items()} == {"failed": [1], "skipped": [1]}
    part = Sample(sample.items)
    assert not taken(part, Query()).is_whole
    assert taken(part, Query(limit=1)).is_whole
    assert taken(part, Query(limit=1)).items == 1
