"""What the stores of all object stores have in common; a subclass has the requests of its service."""

from __future__ import annotations

import io
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Context
from typing import ClassVar, Final, Protocol

from prefect_collect.errors import KeyExists, UsageError
from prefect_collect.stores._base import Blob, BlobWriter, Buffer
from prefect_collect.stores._keys import folder_parts, key_parts, prefix_parts
from prefect_collect.stores._object_reader import open_object
from prefect_collect.stores._object_writer import ObjectWriter
from prefect_collect.stores._objects import Bucket, PartUpload
from prefect_collect.stores.addresses import check_endpoint, require_unsigned
from prefect_collect.threads.pool import Pool

PROBES: Final = ".prefect-collect-probe"
"""The folder of what the stores themselves write for a moment; it is not listed."""

_LONGEST_LINK: Final = 7 * 24 * 3600


class StoreBucket(Bucket, Protocol):
    """The requests to a bucket, and where it is."""

    prefix: str

    @property
    def endpoint(self) -> str:
        """The server's address."""


class ObjectStore(ABC):
    """The base class of stores in a bucket; nothing is sent before a store's first use.

    Args:
        bucket: The name of the bucket or container.
        prefix: The prefix of all keys.
        endpoint_url: The server's address, if it is not the service's own.

    Raises:
        InvalidLocation: The bucket, the prefix or the address cannot be used.
    """

    scheme: ClassVar[str]
    threads: ClassVar[int]
    """How many requests at once send parts and remove objects."""
    hidden: ClassVar[frozenset[str]] = frozenset({PROBES})
    """The folders of what is not the user's."""

    def __init__(self, bucket: str, prefix: str = "", *, endpoint_url: str | None = None) -> None:
        require_unsigned(f"{bucket}/{prefix}", "location")
        self._require_name(bucket)
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
    def _requests(self) -> StoreBucket: ...

    @classmethod
    @abstractmethod
    def _require_name(cls, bucket: str) -> None:
        """Raise InvalidLocation if no bucket has that name."""

    @abstractmethod
    def _begin(self, key: str) -> PartUpload:
        """Begin an object that is uploaded in parts."""

    @abstractmethod
    def _signed(self, key: str, seconds: int) -> str:
        """Return a URL with a signature that expires. Raise StoreError if the credentials cannot sign."""

    @abstractmethod
    def _all(self, prefix: str) -> Iterator[Blob]:
        """Yield all objects whose key begins with the prefix, in the server's order."""

    @abstractmethod
    def _folders(self, prefix: str) -> set[str]:
        """Return the names of the folders directly below a prefix."""

    @abstractmethod
    def _remove_all(self, keys: Sequence[str]) -> None:
        """Delete objects; missing ones are no error."""

    @abstractmethod
    def _remove_rest(self, folder: str, keys: Sequence[str]) -> None:
        """Remove what else is left below a folder whose objects were these."""

    @property
    def folder(self) -> str:
        """The start of the store's keys in the bucket: "", or the prefix and a "/"."""
        return self._requests.prefix

    @property
    def endpoint(self) -> str:
        """The server's address. Raise StoreError if the settings name none."""
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
        return open_object(self._requests, key)

    def stat(self, key: str) -> Blob:
        """Return a blob's size and ETag. Raise KeyMissing."""
        return self._requests.head(key)

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        """Return a blob's size and ETag with some of its bytes. Raise KeyMissing."""
        return self.stat(key), self.read(key, start, end)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix`, in the order of the keys, sorted in memory."""
        prefix_parts(prefix)
        yield from sorted(self._listed(prefix), key=lambda blob: blob.key)

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, in order."""
        prefix_parts(prefix)
        yield from sorted(self._folders(prefix) - self.hidden - {""})

    def delete(self, prefix: str) -> int:
        """Remove every blob (and what is left of uploads) below the folder `prefix`, and say how many blobs."""
        folder_parts(prefix)
        keys = [blob.key for blob in self._listed(prefix)]
        self._remove_all(keys)
        self._remove_rest(prefix, keys)
        return len(keys)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these blobs, several at once; missing ones are no error."""
        wanted = [*keys]
        for key in wanted:
            key_parts(key)
        self._remove_all(wanted)

    def locate(self, key: str) -> str:
        """Return the blob's URL, as ``s3://bucket/key``."""
        return self._requests.locate(key)

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a signed URL, with which anyone can read the blob for `seconds` (at most 7 days)."""
        if not 0 < seconds <= _LONGEST_LINK:
            raise UsageError(f"A link to {self.scheme}:// is valid for 1 second to 7 days [seconds={seconds}]")
        return self._signed(key, seconds)

    def _require_free(self, key: str) -> None:
        """Raise KeyExists if there is such an object."""
        if self._requests.holds(key):
            raise KeyExists(f"The object already exists and is not overwritten [{self.locate(key)}]")

    def _listed(self, prefix: str) -> Iterator[Blob]:
        for blob in self._all(prefix):
            if not blob.key.endswith("/") and blob.key.partition("/")[0] not in self.hidden:
                yield blob

    def _writer(self, key: str, *, replace: bool) -> ObjectWriter:
        return ObjectWriter(self._requests, self._begin, key, self._threads(), replace=replace)

    def _threads(self) -> Pool:
        """Return the pool of daemon threads that end with the store and its writers: sending a part may hang."""
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self.threads, f"{self.scheme}-{self.bucket}", context=Context)
            return self._pool
