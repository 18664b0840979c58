"""A store in an S3 bucket."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from prefect_collect.errors import InvalidLocation, KeyExists, UsageError
from prefect_collect.stores._base import Blob, BlobWriter, Buffer, Piece, Store
from prefect_collect.stores._keys import folder_parts, key_parts, prefix_parts
from prefect_collect.stores._object_compose import stream
from prefect_collect.stores._object_reader import open_object
from prefect_collect.stores._object_writer import ObjectWriter
from prefect_collect.stores._parts import Limits
from prefect_collect.stores._s3_bucket import Bucket
from prefect_collect.stores._s3_client import access_key, make_client, session_fields, session_of
from prefect_collect.stores._s3_compose import ServerCopy
from prefect_collect.stores._s3_errors import s3_errors
from prefect_collect.stores._s3_pages import pages
from prefect_collect.stores._s3_probe import PROBES, copies_parts, note_no_copies, require_exclusive_creates
from prefect_collect.stores._s3_upload import CopiesUnsupported, Upload, abort_leftovers
from prefect_collect.stores.addresses import check_endpoint, require_unsigned, shown
from prefect_collect.stores.buckets import is_access_point, require_supported
from prefect_collect.threads.pool import Pool

if TYPE_CHECKING:
    import boto3

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_THREADS: Final = 16
_LONGEST_LINK: Final = 7 * 24 * 3600


class S3Store:
    """A store below ``s3://bucket/prefix``; nothing is sent before its first use.

    Args:
        bucket: The bucket's name, or the ARN of an access point.
        prefix: The prefix of all keys.
        endpoint_url: The address of an S3 server other than AWS.
        session: The credentials; None for boto3's own chain, from the environment.
        client_parameters: Further arguments of boto3's `Session.client`.
        single_writer: The user's assurance that nothing else ever writes there, for servers that ignore conditional
            creates.
        request_payer: Every request states that the requester pays for it.

    Raises:
        InvalidLocation: The bucket, the prefix or the address cannot be used.
    """

    scheme: ClassVar[str] = "s3"

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        session: boto3.session.Session | None = None,
        client_parameters: dict[str, Any] | None = None,
        single_writer: bool = False,
        request_payer: bool = False,
    ) -> None:
        require_unsigned(f"{bucket}/{prefix}", "location")
        require_supported(bucket, "location")
        if not is_access_point(bucket) and not _BUCKET.fullmatch(bucket):
            raise InvalidLocation(
                f"Not the name of an S3 bucket, which has letters, digits, '.', '-' and '_' [bucket={shown(bucket)}]"
            )
        check_endpoint(endpoint_url)
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        if self.prefix:
            key_parts(self.prefix)
        self.endpoint_url = endpoint_url
        self._session = session
        self._client_parameters = client_parameters or {}
        self.single_writer = single_writer
        self.request_payer = request_payer
        self.url = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self._bucket = Bucket(
            bucket,
            self.prefix,
            lambda: make_client(
                session, endpoint_url, self._client_parameters, self.url, bucket=bucket, request_payer=request_payer
            ),
            single_writer=single_writer,
        )
        self.limits = Limits()
        """The server's limits of an object and its parts."""
        self._pool: Pool | None = None
        self._lock = threading.Lock()

    @property
    def folder(self) -> str:
        """The start of the store's keys in the bucket: "", or the prefix and a "/"."""
        return self._bucket.prefix

    @property
    def endpoint(self) -> str:
        """The server's address. Raises StoreError if the settings name none."""
        return self._bucket.endpoint

    def __repr__(self) -> str:
        return f"S3Store({self.url!r}, endpoint_url={self.endpoint_url!r}, single_writer={self.single_writer})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store with the keys that its session was given; without any, the other process uses its own."""
        options = self.endpoint_url, session_fields(self._session), self._client_parameters, self.single_writer
        return _remade, (self.bucket, self.prefix, *options, self.request_payer)

    def create(self, key: str, data: Buffer) -> Blob:
        """Write a new blob in one step. Raise KeyExists if the key exists."""
        return self._bucket.put(key, data, replace=False)

    def writer(self, key: str, *, replace: bool = False) -> BlobWriter:
        """Return the writer of a blob of unknown size; unless `replace`, the key must not exist at the commit."""
        return self._writer(key, replace=replace)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` to `end` (exclusive; None: to the end). Raise KeyMissing."""
        if end is not None and end <= start:
            self.stat(key)
            return b""
        return self._bucket.get(key, start, end).data

    def open(self, key: str) -> io.BufferedIOBase:
        """Return a seekable reader that fetches what is read; a small object is fetched at once. Raise KeyMissing."""
        return open_object(self._bucket, key)

    def stat(self, key: str) -> Blob:
        """Return a blob's size and ETag. Raise KeyMissing."""
        return self._bucket.head(key)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix`, in the order of the keys.

        AWS lists in that order; the listing of any other server is sorted in memory first.
        """
        prefix_parts(prefix)
        found = self._listed(prefix)
        host = urlsplit(self._bucket.endpoint).hostname or ""
        yield from found if host.endswith(".amazonaws.com") else sorted(found, key=lambda blob: blob.key)

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the folders directly below `prefix`, in order."""
        prefix_parts(prefix)
        where = self._bucket.prefix + prefix
        parent = where.rpartition("/")[0]
        names: set[str] = set()
        with s3_errors(self.locate(prefix)):
            for page in self._pages(where, Delimiter="/"):
                names.update(entry["Prefix"][len(parent) :].strip("/") for entry in page.get("CommonPrefixes", []))
        yield from sorted(names - {PROBES, ""})

    def delete(self, prefix: str) -> int:
        """Remove every blob (and unfinished upload) below the folder `prefix`, and say how many blobs."""
        folder_parts(prefix)
        keys = [blob.key for blob in self._listed(prefix)]
        self._bucket.remove(keys)
        abort_leftovers(self._bucket, self._bucket.prefix + prefix, exact=False)
        self._remove_empty_folders(prefix, keys)
        return len(keys)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove these blobs, a thousand in each request; missing ones are no error."""
        wanted = list(keys)
        for key in wanted:
            key_parts(key)
        self._bucket.remove(wanted)

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes; see `Store.compose`."""
        if not isinstance(source, S3Store) or not self.copies_from(source):
            return self._stream(key, pieces, source, replace=replace)
        pool = self._threads()
        copy = ServerCopy(self._bucket, key, source._bucket, pool, replace=replace, limits=self.limits)
        try:
            copy.take(pieces)
            try:
                blob = copy.run()
            except CopiesUnsupported:
                note_no_copies(self._bucket)
                blob = None
            return blob or self._stream(key, copy.pieces(), source, replace=replace)
        finally:
            copy.close()

    def copies_from(self, source: Store) -> bool:
        """Return whether this store's server, with this store's credentials, can also read the source and copy it."""
        return isinstance(source, S3Store) and self._same_server(source) and copies_parts(self._bucket)

    def locate(self, key: str) -> str:
        """Return the blob's ``s3://`` URL."""
        return self._bucket.locate(key)

    def link(self, key: str, seconds: int = 3600) -> str:
        """Return a presigned URL, with which anyone can read the blob for `seconds` (at most 7 days)."""
        if not 0 < seconds <= _LONGEST_LINK:
            raise UsageError(f"A link to S3 is valid for 1 second to 7 days [seconds={seconds}]")
        where = {"Bucket": self.bucket, "Key": self._bucket.key(key)}
        with s3_errors(self.locate(key)):
            return self._bucket.client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)

    def require_exclusive_creates(self) -> None:
        """Raise StoreUnsafe if two writers can create one key at once; tested with a real write, once per process."""
        require_exclusive_creates(self._bucket)

    def _remove_empty_folders(self, prefix: str, keys: Sequence[str]) -> None:
        """Remove folders on servers that have real ones (SeaweedFS), by keys that end in "/"; S3 itself has none."""
        above, _, name = prefix[:-1].rpartition("/")
        if name not in self.folders(f"{above}/" if above else ""):
            return
        folders = {prefix} | {key[:end] for key in keys for end in _ends_of_folders(key) if end > len(prefix)}
        for folder in sorted(folders, key=len, reverse=True):
            with s3_errors(self.locate(folder)):
                self._bucket.client.delete_object(Bucket=self.bucket, Key=self._bucket.prefix + folder)

    def _writer(self, key: str, *, replace: bool) -> ObjectWriter:
        return ObjectWriter(self._bucket, partial(Upload, self._bucket), key, self._threads(), replace=replace)

    def _stream(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool) -> Blob:
        if not replace and self._bucket.holds(key):
            raise KeyExists(f"The object already exists and is not overwritten [{self.locate(key)}]")
        return stream(self._writer(key, replace=replace), pieces, source)

    def _threads(self) -> Pool:
        """Return the pool of daemon threads that end with the store and its writers: sending a part may hang."""
        with self._lock:
            if self._pool is None:
                self._pool = Pool(_THREADS, f"s3-{self.bucket}", context=Context)
            return self._pool

    def _same_server(self, source: S3Store) -> bool:
        same_keys = access_key(self._session) == access_key(source._session)
        return same_keys and self._bucket.endpoint == source._bucket.endpoint

    def _listed(self, prefix: str) -> Iterator[Blob]:
        start = len(self._bucket.prefix)
        with s3_errors(self.locate(prefix)):
            for page in self._pages(self._bucket.prefix + prefix):
                for entry in page.get("Contents", []):
                    key = entry["Key"][start:]
                    if not key.endswith("/") and not key.startswith(f"{PROBES}/"):
                        yield Blob(key, entry["Size"], entry.get("ETag", ""))

    def _pages(self, prefix: str, **options: str) -> Iterator[Any]:
        return pages(self._bucket.client, self.bucket, prefix, self.locate(""), **options)


def _ends_of_folders(key: str) -> Iterator[int]:
    return (match.end() for match in re.finditer("/", key))


def _remade(
    bucket: str,
    prefix: str,
    endpoint_url: str | None,
    session: dict[str, str] | None,
    client_parameters: dict[str, Any],
    single_writer: bool,
    request_payer: bool,
) -> S3Store:
    """Return the store that `S3Store.__reduce__` pickled."""
    return S3Store(
        bucket,
        prefix,
        endpoint_url=endpoint_url,
        session=None if session is None else session_of(session),
        client_parameters=client_parameters,
        single_writer=single_writer,
        request_payer=request_payer,
    )
