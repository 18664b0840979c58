"""The pieces that a package in one file is composed of: ranges of segments, items to inflate, and new bytes."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prefect_collect.stores import CopyRange, Piece

_IN_MEMORY: Final = 8 << 20
_PLAIN: Final = -1


@dataclass(frozen=True, slots=True)
class Deflated:
    """A range that holds deflated bytes, in whose place stand the `size` bytes that they inflate to."""

    place: CopyRange
    size: int


class Pieces:
    """Pieces in their order, in 32 bytes of memory each: new bytes beyond 8 MiB are in a temporary file."""

    def __init__(self) -> None:
        self._new = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (it ends with the layout)
        self._blobs: dict[tuple[str, str], int] = {}
        self._of, self._start, self._end, self._size = array("q"), array("q"), array("q"), array("q")
        self.has_deflated = False

    def append(self, piece: Piece | Deflated) -> None:
        """Add a piece."""
        size = _PLAIN
        if isinstance(piece, Deflated):
            self.has_deflated = True
            piece, size = piece.place, piece.size
        if isinstance(piece, CopyRange):
            number = self._blobs.setdefault((piece.key, piece.etag), len(self._blobs))
            start, end = piece.start, piece.end
        else:
            self._new.write(piece)
            number, start, end = -1, 0, len(piece)
        self._of.append(number)
        self._start.append(start)
        self._end.append(end)
        self._size.append(size)

    def __iter__(self) -> Iterator[Piece | Deflated]:
        """Yield the pieces."""
        blobs = list(self._blobs)
        self._new.seek(0)
        for number, start, end, size in zip(self._of, self._start, self._end, self._size, strict=True):
            if number < 0:
                yield self._new.read(end)
                continue
            key, etag = blobs[number]
            place = CopyRange(key, start, end, etag)
            yield place if size == _PLAIN else Deflated(place, size)
