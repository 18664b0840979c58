"""The plan of an upload in parts that is composed of other objects' ranges: an S3 server copies nearly all bytes.

S3's limits (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): at most 10,000 parts of 5 MiB to 5 GiB
each, except the last, which may be smaller; an object of at most 5 TiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Final

from prefect_collect.errors import StoreError
from prefect_collect.stores._base import CopyRange

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class NewBytes:
    """Bytes `start` to `end` (exclusive) of all new bytes of the caller, counted as if they were joined."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """The number of bytes in the span."""
        return self.end - self.start


Span = CopyRange | NewBytes


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the upload: one range that the server copies, or spans whose bytes this process sends."""

    spans: tuple[Span, ...]
    copied: bool

    @property
    def size(self) -> int:
        """The number of bytes in the part."""
        return sum(span.size for span in self.spans)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in bytes, except `parts`, the number of parts.

    `smallest` and `largest` bound a part; `sent` and `copied` are the sizes aimed at for parts that this process sends
    and the server copies. `total` easily fits into `parts` parts of half of `largest`. Without `copies`, this process
    sends all bytes. With `joins`, there may be more than `parts` parts, which `join_parts` then makes into fewer.
    """

    smallest: int = 5 * MIB
    largest: int = 5 * 1024 * MIB
    parts: int = 10_000
    total: int = 5 * 1024 * 1024 * MIB
    sent: int = 16 * MIB
    copied: int = 512 * MIB
    copies: bool = True
    joins: bool = False


def plan_parts(pieces: Sequence[Span], limits: Limits = Limits()) -> list[Part]:
    """Return the parts that contain the pieces in their order.

    This process sends new bytes, ranges smaller than `limits.smallest`, and of each larger range at most twice that
    size; the server copies the rest. If this gives too many parts, the parts are made larger.

    Raise StoreError if the object would be larger than the service allows.
    """
    total = sum(piece.size for piece in pieces)
    if total > limits.total:
        raise StoreError(f"An object has at most {limits.total} bytes; export fewer items at once [bytes={total}]")
    joined = list(_joined(pieces))
    while len(parts := list(islice(_parts(joined, limits), limits.parts + 1))) > limits.parts:
        if limits.joins and limits.copied >= limits.largest:
            return list(_parts(joined, limits))
        limits = _larger(limits)
    return parts


def join_parts(parts: Sequence[Part], limits: Limits) -> list[list[Part]]:
    """Return too many parts as groups, in their order, each of which can be an object, and then one part of another.

    Raise StoreError if even the groups are too many.
    """
    total = sum(part.size for part in parts)
    aim = min(limits.largest, max(limits.copied, -(-2 * total // limits.parts)))
    groups: list[list[Part]] = []
    size = 0
    for part in parts:
        is_full = size >= aim or size + part.size > limits.largest
        if not groups or is_full or len(groups[-1]) == limits.parts:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part.size
    if len(groups) > limits.parts:
        raise StoreError(f"An object has at most {limits.parts} parts; export fewer items at once [parts={len(parts)}]")
    return groups


def _larger(limits: Limits) -> Limits:
    if not limits.copies:
        return replace(limits, sent=2 * limits.sent)
    if limits.copied < limits.largest:
        return replace(limits, copied=limits.largest)
    smallest = min(2 * limits.smallest, limits.largest // 2)
    return replace(limits, smallest=smallest, sent=max(limits.sent, smallest))


def _joined(pieces: Iterable[Span]) -> Iterator[Span]:
    """Yield the pieces, adjacent ones joined, without empty ones."""
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
            large = limits.copies and isinstance(rest, CopyRange) and rest.size >= limits.smallest
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
    """Yield a large range in even parts, none smaller than the limit."""
    count = min(-(-piece.size // limits.copied), piece.size // limits.smallest)
    marks = [piece.start + piece.size * number // count for number in range(count + 1)]
    for start, end in pairwise(marks):
        yield Part((replace(piece, start=start, end=end),), copied=True)


def _cut(piece: Span, size: int) -> tuple[Span, Span]:
    middle = piece.start + size
    return replace(piece, end=middle), replace(piece, start=middle)
