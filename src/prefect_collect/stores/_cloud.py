"""What the stores on Google Cloud Storage and Azure Blob Storage have in common."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final, Protocol

from prefect_collect.errors import InvalidLocation, KeyExists, StoreError, StoreUnsafe
from prefect_collect.stores._base import Blob, CopyRange, Piece, Store
from prefect_collect.stores._object_compose import Composition, stream
from prefect_collect.stores._object_reader import BUFFER, RangedReader
from prefect_collect.stores._object_store import PROBES, ObjectStore, StoreBucket
from prefect_collect.stores._objects import Fetched
from prefect_collect.stores._parts import Limits
from prefect_collect.stores.addresses import BUCKET_URLS, shown

_SENT: Final = Limits(copies=False)

_LOCK: Final = threading.Lock()
_EXCLUSIVE: Final[dict[tuple[str, str], bool]] = {}


class CloudBucket(StoreBucket, Protocol):
    """The requests that a store on these services sends, besides those of its readers and writers."""

    name: str

    def listed(self, prefix: str) -> Iterator[Blob]:
        """Yield all objects whose key begins with the prefix."""

    def folders(self, prefix: str) -> set[str]:
        """Return the keys of the folders directly below a prefix, each with its "/"."""

    def remove(self, key: str) -> None:
        """Delete an object; a missing one is no error."""


class CloudStore(ObjectStore):
    """The base class of the stores on these services."""

    threads: ClassVar[int] = 8
    names: ClassVar[re.Pattern[str]]
    """The names of buckets."""

    @property
    @abstractmethod
    def _requests(self) -> CloudBucket: ...

    @abstractmethod
    def _remove_leftovers(self, prefix: str) -> None:
        """Remove what killed processes left of uploads below a folder, or of the object of a key."""

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader that fetches what is read; a small object is fetched at once. Raise KeyMissing."""
        blob = self.stat(key)
        if blob.size <= BUFFER:
            return io.BytesIO(self._requests.get(key, etag=blob.etag).data)
        return io.BufferedReader(RangedReader(self._requests, key, Fetched(b"", blob.size, blob.etag)), BUFFER)

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes, which all pass through this process.

        Google joins whole objects only, and a package consists of ranges of segments.
        """
        if not replace:
            self._require_free(key)
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

    def copy_range(self, key: str, piece: CopyRange, source: Store) -> Blob | None:
        """Return None: all bytes pass through this process."""
        return None

    def copies_from(self, source: Store) -> bool:
        """Return False: all bytes pass through this process."""
        return False

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
        key = f"{PROBES}/{secrets.token_hex(8)}"
        try:
            self.create(key, b"")
            self.create(key, b"")
        except KeyExists:
            return True
        finally:
            with contextlib.suppress(StoreError):  # buckets for evidence often forbid deletion
                self._requests.remove(key)
        return False

    @classmethod
    def _require_name(cls, bucket: str) -> None:
        if not cls.names.fullmatch(bucket):
            raise InvalidLocation(
                f"A location must name a bucket, as {BUCKET_URLS[cls.scheme]} [bucket={shown(bucket)}]"
            )

    def _all(self, prefix: str) -> Iterator[Blob]:
        return self._requests.listed(prefix)

    def _folders(self, prefix: str) -> set[str]:
        return {key.rstrip("/").rpartition("/")[2] for key in self._requests.folders(prefix)}

    def _remove_all(self, keys: Sequence[str]) -> None:
        for _ in self._threads().map(self._requests.remove, keys):
            pass

    def _remove_rest(self, folder: str, keys: Sequence[str]) -> None:
        self._remove_leftovers(folder)
