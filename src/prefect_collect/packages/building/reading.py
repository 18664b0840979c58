"""Reads the items of a segment in order, in windows, so that no segment is ever held in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prefect_collect.archive.inflating import inflated
from prefect_collect.archive.problems import Damaged
from prefect_collect.errors import CorruptSegment
from prefect_collect.packages.building.rows import Row
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.threads.stop import Stop

_LOCAL_WINDOW: Final = 1 << 20
"""Bytes of a local segment in memory: they stay in the processor's cache until they are hashed."""

_REMOTE_WINDOW: Final = 8 << 20
"""Bytes fetched of a remote segment at a time."""


class SegmentReader:
    """Returns byte ranges of one segment in ascending order; `close` closes it.

    Raise KeyMissing and other StoreErrors, and JobCanceled if `stop` is set to cancel.
    """

    def __init__(self, store: Store, key: str, stop: Stop | None = None) -> None:
        self.location = store.locate(key)
        self._stop = Stop() if stop is None else stop
        self._buffer = bytearray()
        self._view = memoryview(b"")
        self._start = 0
        self._file: io.BufferedIOBase | None = store.open(key) if isinstance(store, DirectoryStore) else None
        self._store, self._key = store, key
        self.window = _REMOTE_WINDOW if self._file is None else _LOCAL_WINDOW

    def span(self, start: int, end: int, ahead: int) -> memoryview:
        """Return the bytes from `start` to `end`, at most `window`; a read extends to `ahead`.

        The view is valid until the next call. Raise CorruptSegment if the segment ends earlier.
        """
        at = start - self._start
        if at < 0 or end - self._start > len(self._view):
            self._fill(start, min(max(end, ahead), start + self.window))
            at = 0
        if end - start > len(self._view) - at:
            raise CorruptSegment(f"its segment ends before it does [{self.location}]")
        return self._view[at : at + end - start]

    def _fill(self, start: int, end: int) -> None:
        self._stop.require_going()
        self._start = start
        if self._file is None:
            self._view = memoryview(self._store.read(self._key, start, end))
            return
        if len(self._buffer) < end - start:
            self._buffer = bytearray(end - start)
        try:
            self._file.seek(start)
            count = self._file.readinto(memoryview(self._buffer)[: end - start])
        except OSError as error:
            raise CorruptSegment(f"its segment cannot be read ({error.strerror}) [{self.location}]") from error
        self._view = memoryview(self._buffer)[:count]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def header_and_chunks(
    reader: SegmentReader, row: Row, ahead: int
) -> tuple[memoryview | bytes, Iterable[memoryview | bytes]]:
    """Return the item's local header, and its bytes as `plain_chunks` yields them, each valid until the next call.

    A small item is read in one step. Raise CorruptSegment.
    """
    start, end = row.entry_offset, row.offset + row.stored_size
    if row.deflated or end - start > reader.window:
        header = bytes(reader.span(row.entry_offset, row.offset, ahead))
        return header, plain_chunks(reader, row, ahead)
    whole, size = reader.span(start, end, ahead), row.offset - start
    return whole[:size], (whole[size:],)


def plain_chunks(reader: SegmentReader, row: Row, ahead: int) -> Iterator[memoryview | bytes]:
    """Yield the item's bytes, inflated if needed. Raise CorruptSegment if they end early or cannot be inflated."""
    chunks = _stored(reader, row, ahead)
    return _inflated(reader, row, chunks) if row.deflated else chunks


def _stored(reader: SegmentReader, row: Row, ahead: int) -> Iterator[memoryview]:
    for start in range(row.offset, row.end, reader.window):
        yield reader.span(start, min(row.end, start + reader.window), ahead)


def _inflated(reader: SegmentReader, row: Row, chunks: Iterator[memoryview]) -> Iterator[bytes]:
    try:
        yield from inflated(chunks, row.size)
    except Damaged as error:
        raise CorruptSegment(f"{error} [{reader.location}]") from error


def each_item(
    store: Store,
    key: str,
    rows: Sequence[Row],
    visit: Callable[[SegmentReader, Row, int], None],
    stop: Stop | None = None,
) -> None:
    """Call `visit(reader, row, ahead)` for each row of one segment, in order; `ahead` is where the last row ends."""
    reader = SegmentReader(store, key, stop)
    try:
        ahead = max(row.end for row in rows)
        for row in rows:
            visit(reader, row, ahead)
    finally:
        reader.close()
