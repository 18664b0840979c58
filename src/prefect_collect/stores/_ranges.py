"""Copying a range of another store through this process."""

from __future__ import annotations

from typing import Final, Protocol

from prefect_collect.errors import CorruptSegment, KeyMissing
from prefect_collect.stores._base import Buffer, CopyRange, Store

STEP: Final = 8 << 20
"""Bytes read at a time."""


class Sink(Protocol):
    """The receiver of the bytes."""

    def write(self, data: Buffer) -> None:
        """Append `data`."""


_SMALL: Final = 256 << 10
"""Bytes of a range up to which it is read together with what follows it."""

_WINDOW: Final = 2 << 20
"""Bytes that are read for small ranges at a time."""


class RangeCopier:
    """Copies ranges of another store in order; small ones, as of many small items, are read together."""

    def __init__(self, source: Store) -> None:
        self._source = source
        self._of: tuple[str, str] = ("", "")
        self._start = 0
        self._data = b""

    def copy(self, piece: CopyRange, sink: Sink) -> None:
        """Copy a range to `sink`. Raise CorruptSegment if it is not there as described."""
        size = piece.end - piece.start
        if size > _SMALL:
            stream_range(self._source, piece, sink)
            return
        at = piece.start - self._start
        if (piece.key, piece.etag) != self._of or at < 0 or at + size > len(self._data):
            self._read_from(piece)
            at = 0
        if len(self._data) - at < size:
            raise _too_short(self._source, piece)
        sink.write(self._data[at : at + size])

    def _read_from(self, piece: CopyRange) -> None:
        try:
            _require_unchanged(self._source, piece)
            self._data = self._source.read(piece.key, piece.start, piece.start + _WINDOW)
        except KeyMissing as error:
            raise _lost(self._source, piece) from error
        self._of, self._start = (piece.key, piece.etag), piece.start


def stream_range(source: Store, piece: CopyRange, sink: Sink) -> None:
    """Copy the range to `sink` in steps of 8 MiB. Raise CorruptSegment if it is not there as described."""
    try:
        _require_unchanged(source, piece)
        for start in range(piece.start, piece.end, STEP):
            end = min(piece.end, start + STEP)
            data = source.read(piece.key, start, end)
            if len(data) != end - start:
                raise _too_short(source, piece)
            sink.write(data)
    except KeyMissing as error:
        raise _lost(source, piece) from error


def _require_unchanged(source: Store, piece: CopyRange) -> None:
    if piece.etag and source.stat(piece.key).etag != piece.etag:
        location = source.locate(piece.key)
        raise CorruptSegment(f"The segment was replaced since it was written (its ETag differs) [{location}]")


def _too_short(source: Store, piece: CopyRange) -> CorruptSegment:
    return CorruptSegment(f"The segment ends before byte {piece.end} [{source.locate(piece.key)}]")


def _lost(source: Store, piece: CopyRange) -> CorruptSegment:
    return CorruptSegment(f"The segment is lost; restore it from a backup [{source.locate(piece.key)}]")
