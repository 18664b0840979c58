"""The seam between jobs and the places they write to: a staging store, or an export's destination."""

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
    """The bytes `start` to `end` (exclusive) of `key` in the store that a package is composed from.

    `etag` makes the copy fail (CorruptSegment) if the object is no longer the one it was; "" leaves that unchecked.
    """

    key: str
    start: int
    end: int
    etag: str = ""

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.start


Piece = CopyRange | bytes
"""A part of a composed file: a range of a stored one, or new bytes."""


class BlobWriter(Protocol):
    """Writes one blob that appears whole, at `commit`, or not at all."""

    position: int
    """Bytes written so far."""

    def write(self, data: Buffer) -> None:
        """Append; raises StoreFull, StoreAccessDenied or StoreUnavailable."""

    def patch(self, offset: int, data: Buffer) -> None:
        """Replace bytes already written, within the first 64 KiB of the blob."""

    def commit(self) -> Blob:
        """Make the blob appear under its key, durably."""

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `commit`."""


@runtime_checkable
class Store(Protocol):
    """A tree of blobs: a directory or an S3 prefix. Keys are "/"-separated and relative to the root.

    Every error is a `StoreError` whose message ends in the blob's whole location.
    """

    url: str
    """The root as a user would write it, without secrets: an absolute path or ``s3://bucket/prefix``."""

    def create(self, key: str, data: Buffer) -> Blob:
        """Write a new blob in one step; raises KeyExists if the key is taken, also in a race (exactly one wins)."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to `end` (exclusive; None: to the end); raises KeyMissing."""

    def open(self, key: str) -> io.BufferedIOBase:
        """A seekable reader that fetches what is read, for Parquet and ZIP libraries; raises KeyMissing."""

    def writer(self, key: str, *, replace: bool = False) -> BlobWriter:
        """Start a blob of unknown size; at commit the key must be free unless `replace`."""

    def stat(self, key: str) -> Blob:
        """Size and ETag; raises KeyMissing."""

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Every blob whose key starts with `prefix` (whole folders: end it in "/"), in the order of the keys."""

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Names of the folders directly below `prefix`, in order."""

    def delete(self, prefix: str) -> int:
        """Remove every blob below the folder `prefix` (which ends in "/"), and say how many; nothing outside of it."""

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these blobs; those that are not there are no error."""

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob put together from ranges of `source` and new bytes.

        Where both are on one S3 server that can copy parts, or in directories, the ranges are copied there and do not
        pass through this process. Raises KeyExists unless `replace`; CorruptSegment if a range is not there as
        described.
        """

    def locate(self, key: str) -> str:
        """The blob's whole location: an absolute path or an ``s3://`` URL."""

    def link(self, key: str, seconds: int = 3600) -> str:
        """A link a browser can open: ``file://``, or a presigned URL that expires."""

    def require_exclusive_creates(self) -> None:
        """Find out, once, whether `create` keeps racing writers apart; raises StoreUnsafe if not."""
