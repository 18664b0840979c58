"""Reading an object of a bucket as a seekable file."""

from __future__ import annotations

import io
from typing import Any, Final

from prefect_collect.stores._objects import Bucket, Fetched

BUFFER: Final = 8 << 20
"""The most bytes of one ranged GET while the object is read in order."""

_FIRST: Final = 1 << 20


def open_object(bucket: Bucket, key: str) -> io.BufferedIOBase:
    """Return a seekable reader of an object; a small one is fetched at once."""
    head = bucket.get(key, 0, BUFFER)
    if len(head.data) >= head.size:
        return io.BytesIO(head.data)
    return io.BufferedReader(RangedReader(bucket, key, head), BUFFER)


class RangedReader(io.RawIOBase):
    """A raw reader that fetches an object in ranges, and checks by the ETag that it stays the same object.

    After a seek it fetches 1 MiB, then more each time while the object is read in order. `head` is the start of the
    object, which was already fetched.
    """

    def __init__(self, bucket: Bucket, key: str, head: Fetched) -> None:
        self._bucket = bucket
        self._key = key
        self._head = head
        self._position = 0
        self._window = _FIRST

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched yet."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._head.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        if base + offset != self._position:
            self._position = base + offset
            self._window = _FIRST
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fetch as many bytes as fit, but fewer after a seek; more than `BUFFER` at once if the buffer is larger."""
        size = len(buffer) if len(buffer) > BUFFER else min(len(buffer), self._window)
        data = self._fetch(size)
        buffer[: len(data)] = data
        self._window = min(2 * self._window, BUFFER)
        return len(data)

    def readall(self) -> bytes:
        """Fetch the rest in one request."""
        return self._fetch(self._head.size - self._position)

    def _fetch(self, size: int) -> bytes:
        start, end = self._position, min(self._position + size, self._head.size)
        if end <= start:
            return b""
        if end <= len(self._head.data):
            data = self._head.data[start:end]
        else:
            data = self._bucket.get(self._key, start, end, self._head.etag).data
        self._position += len(data)
        return data
