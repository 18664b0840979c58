"""The bytes of a package's pieces, read from the staging store in their order, and compressed if asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from prefect_collect.archive.inflating import inflated
from prefect_collect.archive.problems import Damaged
from prefect_collect.errors import CorruptSegment, KeyMissing
from prefect_collect.packages.building.pieces import Deflated
from prefect_collect.packages.building.reading import SegmentReader
from prefect_collect.stores import CopyRange, Piece, Store
from prefect_collect.threads.stop import Stop

_GATHERED: Final = 1 << 20
"""Bytes that are compressed, or handed on, at a time."""


def plain_bytes(pieces: Iterator[Piece | Deflated], staging: Store, stop: Stop) -> Iterator[bytes]:
    """Yield the bytes of the pieces. Raise CorruptSegment if a range is not there as described, StoreError."""
    segments = _Segments(staging, stop)
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, CopyRange):
                for view in segments.chunks(piece):
                    yield bytes(view)
            else:
                try:
                    yield from inflated(segments.chunks(piece.place), piece.size)
                except Damaged as error:
                    raise CorruptSegment(f"{error} [{staging.locate(piece.place.key)}]") from error
    finally:
        segments.close()


def compressed_bytes(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the bytes as one Zstandard frame (RFC 8878).

    The same bytes give the same frame with one version of pyarrow, however they are cut into chunks.
    """
    sink = _Sink()
    with pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd") as stream:
        gathered = bytearray()
        for chunk in chunks:
            gathered += chunk
            if len(gathered) >= _GATHERED:
                stream.write(bytes(gathered))
                gathered.clear()
                yield from sink.taken()
        stream.write(bytes(gathered))
    yield from sink.taken()


class _Segments:
    """Reads ranges of segments; those that follow one another in a segment are read together."""

    def __init__(self, staging: Store, stop: Stop) -> None:
        self._staging, self._stop = staging, stop
        self._of: tuple[str, str] = ("", "")
        self._reader: SegmentReader | None = None

    def chunks(self, piece: CopyRange) -> Iterator[memoryview]:
        """Yield the bytes of a range, each valid until the next."""
        try:
            reader = self._opened(piece)
            for start in range(piece.start, piece.end, reader.window):
                yield reader.span(start, min(piece.end, start + reader.window), start + reader.window)
        except KeyMissing as error:
            where = self._staging.locate(piece.key)
            raise CorruptSegment(f"The segment is lost; restore it from a backup [{where}]") from error

    def _opened(self, piece: CopyRange) -> SegmentReader:
        if self._reader is not None and self._of == (piece.key, piece.etag):
            return self._reader
        self.close()
        if piece.etag and self._staging.stat(piece.key).etag != piece.etag:
            where = self._staging.locate(piece.key)
            raise CorruptSegment(f"The segment was replaced since it was written (its ETag differs) [{where}]")
        self._reader = SegmentReader(self._staging, piece.key, self._stop)
        self._of = piece.key, piece.etag
        return self._reader

    def close(self) -> None:
        """Close the segment that is open."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Sink(io.RawIOBase):
    """Keeps what pyarrow has compressed until it is taken."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: object) -> int:
        """Keep bytes."""
        kept = bytes(memoryview(data))  # type: ignore[arg-type]
        self._kept.append(kept)
        return len(kept)

    def taken(self) -> Iterator[bytes]:
        """Yield what is kept, once."""
        kept, self._kept = self._kept, []
        if kept:
            yield b"".join(kept)
