"""Which parts an S3 multipart upload is put together from, so that the server copies nearly everything itself.

S3's limits (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): at most 10,000 parts, each of 5 MiB to
5 GiB but the last, which may be smaller; an object of at most 5 TiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from prefect_collect.errors import StoreError
from prefect_collect.stores._base import CopyRange

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NewBytes:
    """Bytes `start` to `end` (exclusive) of what the caller gave as new bytes, all of it laid end to end."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes in the span."""
        return self.end - self.start


Span = CopyRange | NewBytes


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the upload: either one range that the server copies, or spans whose bytes this process sends."""

    spans: tuple[Span, ...]
    copied: bool

    @property
    def size(self) -> int:
        """Bytes in the part."""
        return sum(span.size for span in self.spans)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. `smallest` and `largest` bound a part; `sent` and `copied` are what a part has if it can.

    `total` fits into `parts` parts of half of `largest`, with plenty to spare.
    """

    smallest: int = 5 * MIB
    largest: int = 5 * 1024 * MIB
    parts: int = 10_000
    total: int = 5 * 1024 * 1024 * MIB
    sent: int = 16 * MIB
    copied: int = 512 * MIB


def plan_parts(pieces: Sequence[Span], limits: Limits = Limits()) -> list[Part]:
    """The parts that give the pieces in their order; raises StoreError if S3 cannot hold that much in one object.

    Through this process go new bytes, ranges smaller than `limits.smallest`, and of each larger range at most twice
    that. Where this would be too many parts, parts are made larger until it is not.
    """
    total = sum(piece.size for piece in pieces)
    if total > limits.total:
        raise StoreError(f"S3 holds no object above {limits.total} bytes; export in smaller pieces [bytes={total}]")
    joined = list(_joined(pieces))
    while len(parts := list(_parts(joined, limits))) > limits.parts:
        limits = _larger(limits)
    return parts


def _larger(limits: Limits) -> Limits:
    if limits.copied < limits.largest:
        return replace(limits, copied=limits.largest)
    smallest = min(2 * limits.smallest, limits.largest // 2)
    return replace(limits, smallest=smallest, sent=max(limits.sent, smallest))


def _joined(pieces: Iterable[Span]) -> Iterator[Span]:
    """Adjacent pieces as one; without empty ones."""
    last: Span | None = None
    for piece in pieces:
        if not piece.size:
            continue
        if last is not None and _adjacent(last, piece):
            last = replace(last, end=piece.end)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _adjacent(left: Span, right: Span) -> bool:
    if left.end != right.start:
        return False
    if isinstance(left, CopyRange) and isinstance(right, CopyRange):
        return (left.key, left.etag) == (right.key, right.etag)
    return isinstance(left, NewBytes) and isinstance(right, NewBytes)


def _parts(pieces: Iterable[Span], limits: Limits) -> Iterator[Part]:
    sent: list[Span] = []
    size = 0
    for piece in pieces:
        rest = piece
        while rest.size:
            large = isinstance(rest, CopyRange) and rest.size >= limits.smallest
            if isinstance(rest, CopyRange) and large and not size:
                yield from _copied(rest, limits)
                break
            head, rest = _cut(rest, max(0, limits.smallest - size) if large else min(rest.size, limits.sent - size))
            if head.size:
                sent.append(head)
                size += head.size
            if large or size == limits.sent:
                yield Part(tuple(sent), copied=False)
                sent, size = [], 0
    if sent:
        yield Part(tuple(sent), copied=False)


def _copied(piece: CopyRange, limits: Limits) -> Iterator[Part]:
    """A large range in even parts, none of them below the limit."""
    count = min(-(-piece.size // limits.copied), piece.size // limits.smallest)
    marks = [piece.start + piece.size * number // count for number in range(count + 1)]
    for start, end in pairwise(marks):
        yield Part((replace(piece, start=start, end=end),), copied=True)


def _cut(piece: Span, size: int) -> tuple[Span, Span]:
    middle = piece.start + size
    return replace(piece, end=middle), replace(piece, start=middle)
