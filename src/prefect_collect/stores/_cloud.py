"""What the stores on Google Cloud Storage and Azure Blob Storage have in common."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextvars import Context
from typing import ClassVar, Final, Protocol

from prefect_collect.errors import InvalidLocation, KeyExists, StoreError, StoreUnsafe, UsageError
from prefect_collect.stores._base import Blob, BlobWriter, Buffer, Piece, Store
from prefect_collect.stores._keys import folder_parts, key_parts, prefix_parts
from prefect_collect.stores._object_compose import Composition, stream
from prefect_collect.stores._object_reader import BUFFER, RangedReader
from prefect_collect.stores._object_writer import ObjectWriter
from prefect_collect.stores._objects import Bucket, Fetched, PartUpload
from prefect_collect.stores._parts import Limits
from prefect_collect.stores.addresses import BUCKET_URLS, check_endpoint, require_unsigned, shown
from prefect_collect.threads.pool import Pool

_THREADS: Final = 8
_LONGEST_LINK: Final = 7 * 24 * 3600
_PROBES: Final = ".prefect-collect-probe"
_SENT: Final = Limits(copies=False)

_LOCK: Final = threading.Lock()
_EXCLUSIVE: Final[dict[tuple[str, str], bool]] = {}


class CloudBucket(Bucket, Protocol):
    """The requests that a store on these services sends, besides those of its readers and writers."""

    name: str
    prefix: str

    @property
    def endpoint(self) -> str:
        """The server's address."""

    def listed(self, prefix: str) -> Iterator[Blob]:
        """Yield all objects whose key begins with the prefix."""

    def folders(self, prefix: str) -> set[str]:
        """Return the keys of the folders directly below a prefix, each with its "/"."""

    def remove(self, key: str) -> None:
        """Delete an object; a missing one is no error."""


class CloudStore(ABC):
    """The base class of the stores on these services; nothing is sent before a store's first use.

    Args:
        bucket: The name of the bucket or container.
        prefix: The prefix of all keys.
        endpoint_url: The server's address, if it is not the service's own.

    Raises:
        InvalidLocation: The bucket, the prefix or the address cannot be used.
    """

    scheme: ClassVar[str]
    names: ClassVar[re.Pattern[str]]
    """The names of buckets."""
    hidden: ClassVar[frozenset[str]] = frozenset({_PROBES})
    """The folders of what is not the user's."""

    def __init__(self, bucket: str, prefix: str = "", *, endpoint_url: str | None = None) -> None:
        require_unsigned(f"{bucket}/{prefix}", "location")
        if not self.names.fullmatch(bucket):
            raise InvalidLocation(
                f"A location must name a bucket, as {BUCKET_URLS[self.scheme]} [bucket={shown(bucket)}]"
            )
        check_endpoint(endpoint_url)
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        if self.prefix:
            key_parts(self.prefix)
        self.endpoint_url = endpoint_url
        self.url = f"{self.scheme}://{bucket}/{self.prefix}".rstrip("/")
        self._pool: Pool | None = None
        self._lock = threading.Lock()

    @property
    @abstractmethod
    def _requests(self) -> CloudBucket: ...

    @abstractmethod
    def _begin(self, key: str) -> PartUpload:
        """Begin an object that is uploaded in parts."""

    @abstractmethod
    def _signed(self, key: str, seconds: int) -> str:
        """Return a URL with a signature that expires. Raise StoreError if the credentials cannot sign."""

    @abstractmethod
    def _remove_leftovers(self, prefix: str) -> None:
        """Remove what killed processes left of uploads below a folder, or of the object of a key."""

    @property
    def folder(self) -> str:
        """The start of the store's keys in the bucket: "", or the prefix and a "/"."""
        return self._requests.prefix

    @property
    def endpoint(self) -> str:
        """The server's address. Raises StoreError if the settings name none."""
        return self._requests.endpoint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, endpoint_url={self.endpoint_url!r})"

    def create(self, key: str, data: Buffer) -> Blob:
        """Write a new blob in one step. Raise KeyExists if the key exists."""
        return self._requests.put(key, data, replace=False)

    def writer(self, key: str, *, replace: bool = False) -> BlobWriter:
        """Return the writer of a blob of unknown size; unless `replace`, the key must not exist at the commit."""
        return self._writer(key, replace=replace)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` to `end` (exclusive; None: to the end). Raise KeyMissing."""
        if end is not None and end <= start:
            self.stat(key)
            return b""
        return self._requests.get(key, start, end).data

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader that fetches what is read; a small object is fetched at once. Raise KeyMissing."""
        blob = self.stat(key)
        if blob.size <= BUFFER:
            return io.BytesIO(self._requests.get(key, etag=blob.etag).data)
        return io.BufferedReader(RangedReader(self._requests, key, Fetched(b"", blob.size, blob.etag)), BUFFER)

    def stat(self, key: str) -> Blob:
        """Return a blob's size and ETag. Raise KeyMissing."""
        return self._requests.head(key)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix`, in the order of the keys, sorted in memory."""
        prefix_parts(prefix)
        yield from sorted(self._listed(prefix), key=lambda blob: blob.key)

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, in order."""
        prefix_parts(prefix)
        names = {key.rstrip("/").rpartition("/")[2] for key in self._requests.folders(prefix)}
        yield from sorted(names - self.hidden - {""})

    def delete(self, prefix: str) -> int:
        """Remove every blob (and what is left of uploads) below the folder `prefix`, and say how many blobs."""
        folder_parts(prefix)
        keys = [blob.key for blob in self._listed(prefix)]
        self._remove_all(keys)
        self._remove_leftovers(prefix)
        return len(keys)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these blobs, several at once; missing ones are no error."""
        wanted = list(keys)
        for key in wanted:
            key_parts(key)
        self._remove_all(wanted)

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes, which all pass through this process.

        Google joins whole objects only, and a package consists of ranges of segments.
        """
        if not replace and self._requests.holds(key):
            raise KeyExists(f"The object already exists and is not overwritten [{self.locate(key)}]")
        self._remove_leftovers(key)
        if not isinstance(source, CloudStore):
            return stream(self._writer(key, replace=replace), pieces, source)
        composition = Composition(self._requests, self._begin, key, source._requests, self._threads(), replace=replace)
        try:
            composition.take(pieces)
            parts = composition.plan(_SENT)
            if len(parts) > 1:
                return composition.upload(parts)
            return stream(self._writer(key, replace=replace), composition.pieces(), source)
        finally:
            composition.close()

    def copies_from(self, source: Store) -> bool:
        """Return False: all bytes pass through this process."""
        return False

    def locate(self, key: str) -> str:
        """Return the blob's URL, as ``gs://bucket/key``."""
        return self._requests.locate(key)

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a signed URL, with which anyone can read the blob for `seconds` (at most 7 days)."""
        if not 0 < seconds <= _LONGEST_LINK:
            raise UsageError(f"A link to {self.scheme}:// is valid for 1 second to 7 days [seconds={seconds}]")
        return self._signed(key, seconds)

    def require_exclusive_creates(self) -> None:
        """Raise StoreUnsafe if two writers can create one key at once; tested with a real write, once per process."""
        where = (self.endpoint, self.bucket)
        with _LOCK:
            if where not in _EXCLUSIVE:
                _EXCLUSIVE[where] = self._is_exclusive()
        if not _EXCLUSIVE[where]:
            raise StoreUnsafe(
                "The server lets two writers create the same object (it ignores the condition of a create), so they "
                f"could fork a job; use another server [{self.url}]"
            )

    def _is_exclusive(self) -> bool:
        key = f"{_PROBES}/{secrets.token_hex(8)}"
        try:
            self.create(key, b"")
            self.create(key, b"")
        except KeyExists:
            return True
        finally:
            with contextlib.suppress(StoreError):  # a bucket that forbids deletion is a good one for evidence
                self._requests.remove(key)
        return False

    def _remove_all(self, keys: Iterable[str]) -> None:
        for _ in self._threads().map(self._requests.remove, keys):
            pass

    def _writer(self, key: str, *, replace: bool) -> ObjectWriter:
        return ObjectWriter(self._requests, self._begin, key, self._threads(), replace=replace)

    def _threads(self) -> Pool:
        """Return the pool of daemon threads that end with the store and its writers: sending a part may hang."""
        with self._lock:
            if self._pool is None:
                self._pool = Pool(_THREADS, f"{self.scheme}-{self.bucket}", context=Context)
            return self._pool

    def _listed(self, prefix: str) -> Iterator[Blob]:
        for blob in self._requests.listed(prefix):
            if not blob.key.endswith("/") and blob.key.partition("/")[0] not in self.hidden:
                yield blob
