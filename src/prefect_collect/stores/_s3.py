"""A store in an S3 bucket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores._base import Blob, CopyRange, Piece, Store
from prefect_collect.stores._keys import prefix_parts
from prefect_collect.stores._object_compose import stream
from prefect_collect.stores._object_store import ObjectStore
from prefect_collect.stores._parts import Limits
from prefect_collect.stores._s3_bucket import Bucket
from prefect_collect.stores._s3_client import access_key, make_client, session_fields, session_of
from prefect_collect.stores._s3_compose import ServerCopy
from prefect_collect.stores._s3_errors import s3_errors
from prefect_collect.stores._s3_pages import pages
from prefect_collect.stores._s3_probe import copies_parts, note_no_copies, require_exclusive_creates
from prefect_collect.stores._s3_upload import CopiesUnsupported, Upload, abort_leftovers
from prefect_collect.stores.addresses import shown
from prefect_collect.stores.buckets import is_access_point, require_supported

if TYPE_CHECKING:
    import boto3

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class S3Store(ObjectStore):
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
    threads: ClassVar[int] = 16

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
        super().__init__(bucket, prefix, endpoint_url=endpoint_url)
        self._session = session
        self._client_parameters = client_parameters or {}
        self.single_writer = single_writer
        self.request_payer = request_payer
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

    def __repr__(self) -> str:
        return f"S3Store({self.url!r}, endpoint_url={self.endpoint_url!r}, single_writer={self.single_writer})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store with the keys that its session was given; without any, the other process uses its own."""
        options = self.endpoint_url, session_fields(self._session), self._client_parameters, self.single_writer
        return _remade, (self.bucket, self.prefix, *options, self.request_payer)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield every blob whose key starts with `prefix`, in the order of the keys.

        AWS lists in that order; the listing of any other server is sorted in memory first.
        """
        prefix_parts(prefix)
        found = self._listed(prefix)
        host = urlsplit(self._bucket.endpoint).hostname or ""
        yield from found if host.endswith(".amazonaws.com") else sorted(found, key=lambda blob: blob.key)

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        """Return a blob's size and ETag with some of its bytes, by one request. Raise KeyMissing."""
        found = self._bucket.get(key, start, end)
        return Blob(key, found.size, found.etag), found.data

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        """Write a blob that consists of ranges of `source` and new bytes; see `Store.compose`."""
        if not isinstance(source, S3Store) or not self.copies_from(source):
            return self._stream(key, pieces, source, replace=replace)
        copy = self._server_copy(key, source, replace=replace)
        try:
            copy.take(pieces)
            return self._run(copy) or self._stream(key, copy.pieces(), source, replace=replace)
        finally:
            copy.close()

    def copy_range(self, key: str, piece: CopyRange, source: Store) -> Blob | None:
        """Have the server copy a range into a new blob, or return None; see `Store.copy_range`."""
        if not piece.etag or not isinstance(source, S3Store) or not self.copies_from(source):
            return None
        copy = self._server_copy(key, source, replace=False)
        try:
            copy.take([piece])
            return self._run(copy)
        finally:
            copy.close()

    def copies_from(self, source: Store) -> bool:
        """Return whether this store's server, with this store's credentials, can also read the source and copy it."""
        return isinstance(source, S3Store) and self._same_server(source) and copies_parts(self._bucket)

    def require_exclusive_creates(self) -> None:
        """Raise StoreUnsafe if two writers can create one key at once; tested with a real write, once per process."""
        require_exclusive_creates(self._bucket)

    @property
    def _requests(self) -> Bucket:
        return self._bucket

    @classmethod
    def _require_name(cls, bucket: str) -> None:
        require_supported(bucket, "location")
        if not is_access_point(bucket) and not _BUCKET.fullmatch(bucket):
            raise InvalidLocation(
                f"Not the name of an S3 bucket, which has letters, digits, '.', '-' and '_' [bucket={shown(bucket)}]"
            )

    def _begin(self, key: str) -> Upload:
        return Upload(self._bucket, key)

    def _signed(self, key: str, seconds: int) -> str:
        where = {"Bucket": self.bucket, "Key": self._bucket.key(key)}
        with s3_errors(self.locate(key)):
            return self._bucket.client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)

    def _all(self, prefix: str) -> Iterator[Blob]:
        start = len(self._bucket.prefix)
        with s3_errors(self.locate(prefix)):
            for page in self._pages(self._bucket.prefix + prefix):
                for entry in page.get("Contents", []):
                    yield Blob(entry["Key"][start:], entry["Size"], entry.get("ETag", ""))

    def _folders(self, prefix: str) -> set[str]:
        where = self._bucket.prefix + prefix
        parent = where.rpartition("/")[0]
        names: set[str] = set()
        with s3_errors(self.locate(prefix)):
            for page in self._pages(where, Delimiter="/"):
                names.update(entry["Prefix"][len(parent) :].strip("/") for entry in page.get("CommonPrefixes", []))
        return names

    def _remove_all(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand in each request."""
        self._bucket.remove(keys)

    def _remove_rest(self, folder: str, keys: Sequence[str]) -> None:
        """Remove unfinished uploads, and folders on servers that have real ones."""
        abort_leftovers(self._bucket, self._bucket.prefix + folder, exact=False)
        self._remove_empty_folders(folder, keys)

    def _remove_empty_folders(self, prefix: str, keys: Sequence[str]) -> None:
        """Remove folders on servers that have real ones (SeaweedFS), by keys that end in "/"; S3 itself has none."""
        above, _, name = prefix[:-1].rpartition("/")
        if name not in self.folders(f"{above}/" if above else ""):
            return
        folders = {prefix} | {key[:end] for key in keys for end in _ends_of_folders(key) if end > len(prefix)}
        for folder in sorted(folders, key=len, reverse=True):
            with s3_errors(self.locate(folder)):
                self._bucket.client.delete_object(Bucket=self.bucket, Key=self._bucket.prefix + folder)

    def _stream(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool) -> Blob:
        if not replace:
            self._require_free(key)
        return stream(self._writer(key, replace=replace), pieces, source)

    def _server_copy(self, key: str, source: S3Store, *, replace: bool) -> ServerCopy:
        pool = self._threads()
        return ServerCopy(self._bucket, key, source._bucket, pool, replace=replace, limits=self.limits)

    def _run(self, copy: ServerCopy) -> Blob | None:
        try:
            return copy.run()
        except CopiesUnsupported:
            note_no_copies(self._bucket)
            return None

    def _same_server(self, source: S3Store) -> bool:
        same_keys = access_key(self._session) == access_key(source._session)
        return same_keys and self._bucket.endpoint == source._bucket.endpoint

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
