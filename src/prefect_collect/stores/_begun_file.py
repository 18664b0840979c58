"""The beginning of a file that is composed of ranges of another directory, copied before the rest of it is known."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from typing import IO, TYPE_CHECKING, Any, Final

from prefect_collect.errors import CollectError
from prefect_collect.stores._base import Blob, CopyRange, Piece, Store
from prefect_collect.stores._directory_writer import DirectoryWriter
from prefect_collect.threads.pool import Pool
from prefect_collect.threads.stop import Stop

if TYPE_CHECKING:
    from prefect_collect.stores._directory import DirectoryStore

_STEP: Final = 64 << 20
"""Bytes that are copied between two looks whether to go on."""


class BegunFile:
    """A file without a name, to which a thread of its own copies the ranges that are added, in their order.

    `compose` makes the whole file of it, whatever was added: what is none of its first pieces is cut off. What could
    not be copied is left to `compose`, which says why. Either that or `drop` is called at the end.
    """

    def __init__(self, destination: DirectoryStore, key: str, source: DirectoryStore, stop: Stop) -> None:
        self._destination, self._key, self._source, self._stop = destination, key, source, stop
        self._pool = Pool(1, "copy")
        self._last: Future[None] | None = None
        self._writer: DirectoryWriter | None = None
        self._segment: tuple[str, IO[Any]] | None = None
        self._copied: deque[CopyRange] = deque()
        self._has_ended = self._is_dropped = False

    def add(self, piece: CopyRange) -> None:
        """Have a range copied."""
        self._last = self._pool.submit(self._copy, piece)

    def _copy(self, piece: CopyRange) -> None:
        if self._has_ended:
            return
        try:
            self._stop.require_going()
            if self._segment is None or self._segment[0] != piece.key:
                self._close_segment()
                self._segment = piece.key, self._source.open_segment(piece.key)
            if self._writer is None:  # to open it makes the destination's folder
                self._writer = DirectoryWriter(self._destination.root, self._key, replace=False)
            for start in range(piece.start, piece.end, _STEP):
                self._stop.require_going()
                if self._has_ended:
                    return
                step = dataclasses.replace(piece, start=start, end=min(piece.end, start + _STEP))
                self._writer.copy(self._segment[1].fileno(), step, self._source.locate(piece.key))
                self._copied.append(step)
        except CollectError:
            self._has_ended = True  # `compose` goes on from here, and meets the same

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment[1].close()
            self._segment = None

    def wait(self) -> None:
        """Wait until what was added is copied, or cannot be, or until a dropped file is discarded."""
        if self._last is not None:
            wait([self._last])

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob of these pieces; see `Store.compose`."""
        self.wait()
        writer, self._writer = self._writer, None
        self.drop()
        if writer is None:
            return self._destination.compose(key, pieces, source, replace=replace)
        writer.go_on(replace=replace)
        return self._destination.compose_with(writer, key, self._rest(pieces, writer), source, replace=replace)

    def drop(self) -> None:
        """Discard the file as soon as its thread is done; do nothing after `compose`."""
        self._has_ended = True
        if not self._is_dropped and self._last is not None:
            self._last = self._pool.submit(self._discard)
            self._pool.close(wait=False)
        self._is_dropped = True

    def _discard(self) -> None:
        self._close_segment()
        if self._writer is not None:
            self._writer.abort()

    def _rest(self, pieces: Iterable[Piece], writer: DirectoryWriter) -> Iterator[Piece]:
        """Cut off what is none of the first pieces, and yield the pieces that are not there."""
        left, there = iter(pieces), 0
        for piece in left:
            size = self._there_of(piece)
            there += size
            if isinstance(piece, CopyRange) and size == piece.size:
                continue
            writer.cut(there)
            yield dataclasses.replace(piece, start=piece.start + size) if isinstance(piece, CopyRange) else piece
            yield from left
            return
        writer.cut(there)

    def _there_of(self, piece: Piece) -> int:
        """Return how many bytes of a piece, from its start on, come next in the file."""
        size, copied = 0, self._copied
        if not isinstance(piece, CopyRange):
            return 0
        while copied and size < piece.size and (copied[0].key, copied[0].start) == (piece.key, piece.start + size):
            some = copied.popleft()
            more = min(some.size, piece.size - size)
            if more < some.size:
                copied.appendleft(dataclasses.replace(some, start=some.start + more))
            size += more
        return size
