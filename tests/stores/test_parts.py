"""The planner of multipart uploads, against S3's limits scaled down."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.errors import StoreError
from prefect_collect.stores._base import CopyRange
from prefect_collect.stores._parts import Limits, NewBytes, Part, Span, join_parts, plan_parts
from tests.examples import examples

SMALL = Limits(smallest=5, largest=200, parts=40, total=2000, sent=16, copied=50)


@st.composite
def pieces(draw: st.DrawFn) -> list[Span]:
    """A strategy of ranges of a few keys and new bytes, with empty ones among them."""
    found: list[Span] = []
    new = total = 0
    for _ in range(draw(st.integers(0, 60))):
        size = draw(st.one_of(st.integers(0, 12), st.integers(0, 400)))
        if total + size > SMALL.total:
            break
        total += size
        if draw(st.booleans()):
            found.append(NewBytes(new, new + size))
            new += size
        else:
            start = draw(st.integers(0, 50))
            found.append(CopyRange(draw(st.sampled_from("ab")), start, start + size, draw(st.sampled_from(["", "e"]))))
    return found


def content(spans: list[Span]) -> list[object]:
    """Yield a name for every single byte of the spans."""
    return [
        (type(span).__name__, getattr(span, "key", ""), getattr(span, "etag", ""), position)
        for span in spans
        for position in range(span.start, span.end)
    ]


def sent(parts: list[Part]) -> int:
    """Return the number of bytes of ranges that pass through the client."""
    return sum(s.size for part in parts if not part.copied for s in part.spans if isinstance(s, CopyRange))


@settings(max_examples=examples(100))
@given(pieces())
def test_parts_are_the_pieces(given_pieces: list[Span]) -> None:
    """The parts, joined, are exactly the pieces, joined."""
    parts = plan_parts(given_pieces, SMALL)
    assert content([span for part in parts for span in part.spans]) == content(given_pieces)


@settings(max_examples=examples(100))
@given(pieces())
def test_limits_hold(given_pieces: list[Span]) -> None:
    """No part but the last is too small, none is too large, there are never too many, and none is empty."""
    parts = plan_parts(given_pieces, SMALL)
    assert len(parts) <= SMALL.parts
    assert all(part.size >= SMALL.smallest for part in parts[:-1])
    assert all(0 < part.size <= SMALL.largest for part in parts)
    assert all(span.size for part in parts for span in part.spans)


@settings(max_examples=examples(100))
@given(pieces())
def test_copied_parts_are_one_range(given_pieces: list[Span]) -> None:
    """Each part that the server copies is one range of one key, and large enough for a part."""
    for part in plan_parts(given_pieces, SMALL):
        if part.copied:
            (span,) = part.spans
            assert isinstance(span, CopyRange)
            assert span.size >= SMALL.smallest


@settings(max_examples=examples(100))
@given(pieces())
def test_few_bytes_pass_the_client(given_pieces: list[Span]) -> None:
    """Of a large range at most two smallest parts pass through the client, if the number of parts allows it."""
    unlimited = Limits(smallest=5, largest=200, parts=10**6, total=2000, sent=16, copied=50)
    allowed = sum(min(s.size, 2 * unlimited.smallest) for s in given_pieces if isinstance(s, CopyRange))
    assert sent(plan_parts(given_pieces, unlimited)) <= allowed


def test_whole_segments_pass_nothing() -> None:
    """Segments of ordinary size are copied whole; only the new bytes at the end are sent."""
    segments: list[Span] = [CopyRange(str(number), 30, 30 + (20 << 20) + number) for number in range(500)]
    parts = plan_parts([*segments, NewBytes(0, 100)])
    assert [part.copied for part in parts] == [True] * 500 + [False]
    assert sent(parts) == 0


def test_head_of_a_large_range_fills_a_small_part() -> None:
    """Few new bytes before a large range are sent with just enough of the range for a part; the rest is copied."""
    parts = plan_parts([NewBytes(0, 100), CopyRange("a", 0, 50 << 20)])
    assert [(part.size, part.copied) for part in parts] == [(5 << 20, False), ((45 << 20) + 100, True)]


def test_huge_range_is_copied_in_even_parts() -> None:
    """A single item of 5 GiB and one byte gets parts of which none is too small or too large."""
    parts = plan_parts([CopyRange("a", 7, 7 + (5 << 30) + 1)])
    assert all(part.copied and part.size <= 512 << 20 for part in parts)
    assert len(parts) == 11


def test_more_ranges_than_parts() -> None:
    """30,000 segments become at most 10,000 parts, by sending some of their bytes."""
    segments: list[Span] = [CopyRange(str(number), 0, 6 << 20) for number in range(30_000)]
    parts = plan_parts(segments)
    assert len(parts) <= 10_000
    assert all(part.size >= 5 << 20 for part in parts[:-1])
    assert sum(part.size for part in parts) == 30_000 * (6 << 20)


def test_largest_object() -> None:
    """5 TiB in one range fits; 5 TiB and one byte are refused."""
    assert len(plan_parts([CopyRange("a", 0, 5 << 40)])) <= 10_000
    with pytest.raises(StoreError, match="has at most"):
        plan_parts([CopyRange("a", 0, 5 << 40), NewBytes(0, 1)])


def test_largest_object_in_small_pieces() -> None:
    """5 TiB in more pieces than an upload has parts, of 300 MiB each, fit too."""
    step = 300 << 20
    spans: list[Span] = [CopyRange(str(start), 0, step) for start in range(0, (5 << 40) - step, step)]
    assert len(spans) > 10_000
    assert len(plan_parts(spans)) <= 10_000


def test_nothing_gives_nothing() -> None:
    """No pieces and empty pieces make no part."""
    assert plan_parts([]) == []
    assert plan_parts([NewBytes(3, 3), CopyRange("a", 5, 5)]) == []


def test_adjacent_ranges_are_one() -> None:
    """Adjacent items in a segment are copied as one range."""
    step = 1 << 20
    spans: list[Span] = [CopyRange("a", start * step, end * step) for start, end in itertools.pairwise(range(31))]
    assert [(part.size, part.copied) for part in plan_parts(spans)] == [(30 << 20, True)]


@settings(max_examples=examples(100))
@given(pieces(), st.integers(24, 40))
def test_parts_are_joined(given_pieces: list[Span], most: int) -> None:
    """Too many parts make few groups of the same bytes, none of which is too large or has too many parts."""
    limits = replace(SMALL, parts=most, largest=1000, joins=True)
    parts = plan_parts(given_pieces, limits)
    groups = join_parts(parts, limits)
    assert [part for group in groups for part in group] == parts
    assert len(groups) <= most
    assert all(len(group) <= most for group in groups)
    sizes = [sum(part.size for part in group) for group in groups]
    assert all(size <= limits.largest for size in sizes)
    assert all(size >= limits.smallest for size in sizes[:-1])


def test_ranges_of_few_bytes_are_not_sent_where_parts_are_joined() -> None:
    """A range that a part can have is copied, however many there are; without joining, some pass through here."""
    ranges: list[Span] = [CopyRange(str(number), 0, 7, "e") for number in range(200)]
    assert sent(plan_parts(ranges, replace(SMALL, joins=True))) == 0
    assert sent(plan_parts(ranges, SMALL)) > 0


def test_too_many_groups() -> None:
    """Parts that are too many even when they are joined are refused."""
    limits = Limits(smallest=5, largest=10, parts=3, total=2000, sent=5, copied=5)
    with pytest.raises(StoreError, match="at most 3 parts"):
        join_parts([Part((CopyRange("a", 0, 10, "e"),), copied=True)] * 4, limits)
