"""A file of a package that is put together of ranges of segments and new bytes, such as an mbox file."""

from __future__ import annotations

import hashlib
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from typing import IO, Final

from isal import isal_zlib

from prefect_collect.stores import CopyRange, Piece

_IN_MEMORY: Final = 8 << 20
_STEP: Final = 1 << 20
_NEW: Final = -1


class NewBytes:
    """The new bytes of all composed files of a package: what is beyond 8 MiB is in a temporary file."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (it ends with the package)
        self.end = 0

    def add(self, data: bytes) -> int:
        """Append bytes, and return where they begin."""
        self.file.seek(self.end)
        start, self.end = self.end, self.end + self.file.write(data)
        return start

    def close(self) -> None:
        """Remove the temporary file."""
        self.file.close()


class ComposedFile:
    """A file of ranges of segments and new bytes, in 24 bytes of memory for each of its pieces.

    Attributes:
        name: Its name below the package's base folder.
        size: The bytes that it has so far.
        crc32: Their CRC-32.
    """

    def __init__(self, name: str, new: NewBytes) -> None:
        self.name, self.size, self.crc32 = name, 0, 0
        self._new, self._sha256 = new, hashlib.sha256()
        self._segments: dict[tuple[str, str], int] = {}
        self._of, self._start, self._end = array("q"), array("q"), array("q")

    @property
    def hashes(self) -> Mapping[str, str]:
        """Its SHA-256 (hex)."""
        return {"sha256": self._sha256.hexdigest()}

    @property
    def is_composed(self) -> bool:
        """Return True."""
        return True

    def add_bytes(self, data: bytes) -> None:
        """Append new bytes."""
        if data:
            start = self._new.add(data)
            self._append(_NEW, start, start + len(data))
            self._count(data)

    def add_range(self, key: str, start: int, data: bytes, etag: str) -> None:
        """Append bytes that a segment has from `start` on."""
        if data:
            self._append(self._segments.setdefault((key, etag), len(self._segments)), start, start + len(data))
            self._count(data)

    def _append(self, of: int, start: int, end: int) -> None:
        if self._of and self._of[-1] == of and self._end[-1] == start:
            self._end[-1] = end
            return
        self._of.append(of)
        self._start.append(start)
        self._end.append(end)

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        self.crc32 = isal_zlib.crc32(data, self.crc32)
        self._sha256.update(data)

    def pieces(self) -> Iterator[Piece]:
        """Yield new bytes, and ranges of segments."""
        segments = [*self._segments]
        for of, start, end in zip(self._of, self._start, self._end, strict=True):
            if of != _NEW:
                key, etag = segments[of]
                yield CopyRange(key, start, end, etag)
                continue
            for at in range(start, end, _STEP):
                self._new.file.seek(at)
                yield self._new.file.read(min(end - at, _STEP))
