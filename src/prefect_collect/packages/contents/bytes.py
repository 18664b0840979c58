"""Random access to the bytes of a package in a file or a store."""

from __future__ import annotations

import os
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.archive.random_access import Bytes
from prefect_collect.errors import PackageError, StoreError
from prefect_collect.stores import Blob, Store

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LocalBytes:
    """A file on disk."""

    window: Final = 1 << 20

    def __init__(self, path: str | os.PathLike[str], *, follow: bool = False) -> None:
        try:
            self._fd = os.open(path, _READ & ~os.O_NOFOLLOW if follow else _READ)
        except (OSError, ValueError) as error:
            raise Damaged(f"it cannot be opened ({getattr(error, 'strerror', None) or error})") from error
        self.size = os.fstat(self._fd).st_size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end."""
        end = min(end, self.size)
        if start < 0 or start >= end:
            return b""
        try:
            return os.pread(self._fd, end - start, start)
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror})") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class StoredBytes:
    """A blob of a store."""

    window: Final = 8 << 20

    def __init__(self, store: Store, blob: Blob) -> None:
        self._store, self._key = store, blob.key
        self.size = blob.size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the blob's end."""
        end = min(end, self.size)
        if start >= end:
            return b""
        try:
            return self._store.read(self._key, start, end)
        except StoreError as error:
            if error.transient:
                raise PackageError(f"The package cannot be read to its end: {error}") from error
            raise Damaged(f"it cannot be read ({error})") from error

    def close(self) -> None:
        """Do nothing: no file is open."""


class PartOfBytes:
    """A part of a file, which is not closed with it."""

    def __init__(self, source: Bytes, start: int, size: int) -> None:
        self._source, self._start, self.size = source, start, size
        self.window = source.window

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the part's end."""
        start, end = max(0, start), min(end, self.size)
        return b"" if start >= end else self._source.read(self._start + start, self._start + end)

    def close(self) -> None:
        """Do nothing."""


class Window:
    """Reads one `Bytes` in ascending order, a window at a time."""

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self._start = 0
        self._view = memoryview(b"")
        self.size = source.window

    def span(self, start: int, end: int, ahead: int) -> memoryview:
        """Return the bytes from `start` to `end` (at most a window); a read extends to `ahead`. Raise Damaged."""
        at = start - self._start
        if start < 0:
            raise Damaged("it would begin before the file does")
        if at < 0 or end - self._start > len(self._view):
            self._view = memoryview(self._source.read(start, min(max(end, ahead), start + self.size)))
            self._start, at = start, 0
        if end - start > len(self._view) - at:
            raise Damaged("the file ends before it does")
        return self._view[at : at + end - start]
