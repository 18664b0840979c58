"""The protocol `Store`, by which jobs write to a staging store or to an export's destination."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Blob:
    """One stored file or object: its key below the store's root, its size in bytes and, on S3, its ETag (else "")."""

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class CopyRange:
    """The bytes `start` to `end` (exclusive) of `key` in the store from which a blob is composed.

    With an `etag` the copy raises CorruptSegment if the object has changed since; "" leaves that unchecked.
    """

    key: str
    start: int
    end: int
    etag: str = ""

    @property
    def size(self) -> int:
        """The number of bytes in the range."""
        return self.end - self.start


Piece = CopyRange | bytes
"""A piece of a composed blob: a range of a stored blob, or new bytes."""


class BlobWriter(Protocol):
    """Writes one blob that appears whole, at `commit`, or not at all."""

    @property
    def position(self) -> int:
        """Bytes written so far."""

    def write(self, data: Buffer) -> None:
        """Append `data`. Raise StoreFull, StoreAccessDenied or StoreUnavailable."""

    def patch(self, offset: int, data: Buffer) -> None:
        """Replace bytes that were already written, within the first 64 KiB of the blob."""

    def commit(self) -> Blob:
        """Make the blob appear under its key, durably."""

    def abort(self) -> None:
        """Discard what was written; do nothing after `commit`."""


@runtime_checkable
class Store(Protocol):
    """A tree of blobs: a directory, or a prefix in a bucket. Keys are "/"-separated and relative to the root.

    Every error is a `StoreError` whose message ends in the blob's full location.
    """

    url: str
    """The root as a user writes it, without secrets: an absolute path, or as ``s3://bucket/prefix``."""

    def create(self, key: str, data: Buffer) -> Blob:
        """Write a new blob in one step.

        Raise KeyExists if the key exists; of several writers that create it at once, exactly one succeeds.
        """

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` to `end` (exclusive; None: to the end). Raise KeyMissing."""

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader, as Parquet and ZIP libraries need, that fetches what is read. Raise KeyMissing."""

    def writer(self, key: str, *, replace: bool = False) -> BlobWriter:
        """Return the writer of a blob of unknown size; unless `replace`, the key must not exist at the commit."""

    def stat(self, key: str) -> Blob:
        """Return a blob's size and ETag. Raise KeyMissing."""

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        """Return a blob's size and ETag with some of its bytes (`end` is after `start`), on S3 by one request.

        Raise KeyMissing.
        """

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix` (a whole folder if that ends in "/"), in the keys' order."""

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, in order."""

    def delete(self, prefix: str) -> int:
        """Remove every blob below the folder `prefix` (which ends in "/") and nothing else; return their number."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these blobs; missing ones are no error."""

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes.

        If both stores are on one S3 server that can copy parts, or both are directories, the server or the kernel
        copies the ranges, and their bytes do not pass through this process.

        Raises:
            KeyExists: The key exists, and `replace` is not set.
            CorruptSegment: A range is not there, or not as described.
        """

    def copy_range(self, key: str, piece: CopyRange, source: Store) -> Blob | None:
        """Have the server copy a large range of `source` into a new blob, on condition of its ETag.

        Return None, having written nothing, if it cannot: the bytes never pass through this process unproven.

        Raises:
            KeyExists: The key exists.
            CorruptSegment: The range is not there, or not as described.
        """

    def copies_from(self, source: Store) -> bool:
        """Return whether `copy_range` and `compose` have the server copy large ranges whose ETags are right.

        True as long as the server has not said that it cannot.
        """

    def locate(self, key: str) -> str:
        """Return the blob's full location: an absolute path or an ``s3://`` URL."""

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a link that a browser can open: ``file://``, or a presigned URL that expires after `seconds`."""

    def require_exclusive_creates(self) -> None:
        """Raise StoreUnsafe if two writers can create one key at once; tested with a real write, once per process."""
