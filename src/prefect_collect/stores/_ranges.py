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


def stream_range(source: Store, piece: CopyRange, sink: Sink) -> None:
    """Copy the range to `sink` in steps of 8 MiB. Raise CorruptSegment if it is not there as described."""
    location = source.locate(piece.key)
    try:
        if piece.etag and source.stat(piece.key).etag != piece.etag:
            raise CorruptSegment(f"The segment was replaced since it was written (its ETag differs) [{location}]")
        for start in range(piece.start, piece.end, STEP):
            end = min(piece.end, start + STEP)
            data = source.read(piece.key, start, end)
            if len(data) != end - start:
                raise CorruptSegment(f"The segment ends before byte {piece.end} [{location}]")
            sink.write(data)
    except KeyMissing as error:
        raise CorruptSegment(f"The segment is lost; restore it from a backup [{location}]") from error
