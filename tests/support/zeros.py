"""A file of zeros, which are not all in memory."""

from __future__ import annotations

import io


class Zeros(io.RawIOBase):
    """A readable file of so many zeros."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill a buffer with the next zeros."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        count = min(len(view), self._size - self._at)
        view[:count] = bytes(count)
        self._at += count
        return count
