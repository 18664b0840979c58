"""The requests to a bucket of Google Cloud Storage, below a prefix, by Google's own library."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import anycrc
import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing, StoreError, StoreUnavailable
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._fenced_http import fenced
from prefect_collect.stores._gcs_errors import GOOGLE_ERRORS, google_error, google_errors, is_lost_session, status_of
from prefect_collect.stores._keys import key_parts
from prefect_collect.stores._objects import Fetched, Token, new_token
from prefect_collect.stores.gcs_access import SERVER, GcsAccess, emulator

_TOKEN: Final = "collect-write"
_LONGEST_KEY: Final = 1024  # bytes of UTF-8, with the prefix
_NOT_ALLOWED: Final = re.compile("[\r\n]")
_IN_ONE_REQUEST: Final = 1 << 20
_CHECKED_AT_ONCE: Final = 8 << 20  # what the library sends with its condition in one request
_SESSIONS: Final = 3
_SESSION_SECONDS: Final = 13.0
"""How long an upload that was begun is tried to go on before it begins again: its answer may be lost for ever."""

_LISTED: Final = "kind,nextPageToken,prefixes,items(name,size,generation)"
_CHECKSUM: Final = anycrc.Model("CRC32C")

PAGE: Final = 1000
"""Objects on a page of a listing."""

RETRY: Final = DEFAULT_RETRY.with_delay(initial=0.5, maximum=8.0, multiplier=2.0).with_timeout(40.0)
"""How requests are repeated while the server is busy or not reached."""

OPTIONS: Final[dict[str, Any]] = {"retry": RETRY, "timeout": (10, 120)}
"""The options of all requests: seconds to connect, and without data."""


def crc32c(data: Buffer) -> int:
    """Return the CRC-32C of data."""
    return int(_CHECKSUM.calc(bytes(data)))


def joined_crc32c(one: int, other: int, size: int) -> int:
    """Return the CRC-32C of two runs of bytes, of which the second has `size` bytes."""
    return int(_CHECKSUM.combine(one, other, size))


class GcsBucket:
    """Requests to one bucket, below one prefix; the client is created at the first request and shared by threads.

    The ETag of a `Blob` is the object's generation, which each write changes.
    """

    def __init__(self, name: str, prefix: str, access: GcsAccess, endpoint_url: str | None) -> None:
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.endpoint = endpoint_url or emulator() or SERVER
        self._access = access
        self._client: storage.Client | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> storage.Client:
        """The client. Raise StoreAccessDenied if there are no credentials."""
        with self._lock:
            if self._client is None:
                credentials = self._access.credentials()
                session: requests.Session = fenced(AuthorizedSession(credentials))  # type: ignore[no-untyped-call]
                self._client = storage.Client(
                    project="none",  # only requests that concern a project need one
                    credentials=credentials,
                    _http=session,
                    client_options={"api_endpoint": self.endpoint},
                )
            return self._client

    def key(self, key: str) -> str:
        """Return the key in the bucket. Raise StoreError if Google does not allow it."""
        key_parts(key)
        full = self.prefix + key
        try:
            size = len(full.encode())
        except UnicodeEncodeError as error:
            raise StoreError(f"Names of Google Cloud Storage are UTF-8, and this one is not [key={key!r}]") from error
        if size > _LONGEST_KEY:
            raise StoreError(
                f"Names of Google Cloud Storage have at most {_LONGEST_KEY} bytes, and this one has {size} [key={key}]"
            )
        if _NOT_ALLOWED.search(full):
            raise StoreError(f"Names of Google Cloud Storage cannot have line ends, and this one has [key={key!r}]")
        return full

    def locate(self, key: str) -> str:
        """Return the full URL of a key."""
        return f"gs://{self.name}/{self.prefix}{key}"

    def blob(self, full: str) -> storage.Blob:
        """Return the library's object for a key in the bucket; nothing is sent."""
        return self.client.bucket(self.name).blob(full)

    def put(self, key: str, data: Buffer, *, replace: bool) -> Blob:
        """Write an object in one step, checked by its CRC-32C. Raise KeyExists if the key exists, unless `replace`."""
        full, token, body = self.key(key), new_token(), bytes(data)
        if not replace and len(body) > _CHECKED_AT_ONCE and self.holds(key):
            raise KeyExists(f"The object already exists and is not overwritten [{self.locate(key)}]")

        def send(condition: dict[str, Any]) -> storage.Blob:
            return self.send(full, body, condition, token)

        made = self.conditionally(send, key, token, replace=replace)
        return Blob(key, len(body), str(made.generation))

    def send(self, full: str, body: bytes, condition: dict[str, Any], token: Token | None = None) -> storage.Blob:
        """Upload an object, and return what the server says of it. Exceptions of Google's library pass through."""
        # With a size, the library sends up to 8 MiB in one request, of whose body it makes five copies; without one it
        # begins an upload first, and makes none.
        size = len(body) if condition or len(body) <= _IN_ONE_REQUEST else None
        options = OPTIONS if size is not None else OPTIONS | {"retry": OPTIONS["retry"].with_timeout(_SESSION_SECONDS)}
        for left in reversed(range(_SESSIONS)):
            blob = self.blob(full)
            blob.metadata = {_TOKEN: token.value} if token else None
            try:
                blob.upload_from_file(io.BytesIO(body), size=size, checksum="crc32c", **condition, **options)
                return blob
            except GOOGLE_ERRORS as error:
                is_broken = size is None and isinstance(google_error(error, ""), StoreUnavailable)
                if not left or not (is_broken or is_lost_session(error)):
                    raise
        raise AssertionError("unreachable")

    def compose(
        self, full: str, sources: list[storage.Blob], condition: dict[str, Any], token: Token | None = None
    ) -> storage.Blob:
        """Have the server join up to 32 objects into one. Exceptions of Google's library pass through."""
        blob = self.blob(full)
        blob.metadata = {_TOKEN: token.value} if token else None
        unchanged = [int(source.generation) for source in sources]
        blob.compose(sources, if_source_generation_match=unchanged, **condition, **OPTIONS)
        return blob

    def conditionally(
        self, send: Callable[[dict[str, Any]], storage.Blob], key: str, token: Token, *, replace: bool
    ) -> storage.Blob:
        """Send a request that fails if the key exists, unless `replace`, and return the object's description.

        After a refusal or a lost answer, an earlier sending of the same request may have succeeded: the object then has
        our token.
        """
        try:
            return send({} if replace else {"if_generation_match": 0})
        except GOOGLE_ERRORS as error:
            failure = google_error(error, self.locate(key))
            if isinstance(failure, KeyMissing):
                bucket = f"gs://{self.name}"
                failure = StoreError(f"There is no such bucket; create it, or correct its name [{bucket}]")
            own = self._own(key, token) if isinstance(failure, (KeyExists, StoreUnavailable)) else None
            if own is None:
                raise failure from error
            return own

    def _own(self, key: str, token: Token) -> storage.Blob | None:
        """Return the object if it has this mark."""
        blob = self.blob(self.key(key))
        try:
            blob.reload(**OPTIONS)
        except GOOGLE_ERRORS:
            return None
        return blob if (blob.metadata or {}).get(_TOKEN) == token.value else None

    def get(self, key: str, start: int = 0, end: int | None = None, etag: str = "") -> Fetched:
        """Return bytes of an object; there are none past its end, and the size is that of what came.

        Raise CorruptSegment if the object no longer has the given `etag`.
        """
        condition = {"if_generation_match": int(etag)} if etag else {}
        last = None if end is None else end - 1
        try:
            data = self.blob(self.key(key)).download_as_bytes(
                start=start or None, end=last, raw_download=True, checksum="crc32c", **condition, **OPTIONS
            )
        except GOOGLE_ERRORS as error:
            location = self.locate(key)
            if status_of(error) == 416:
                return Fetched(b"", start, etag)
            if status_of(error) == 412:
                raise CorruptSegment(
                    f"The object was replaced while it was in use (its generation differs) [{location}]"
                ) from error
            raise google_error(error, location) from error
        return Fetched(data, start + len(data), etag)

    def head(self, key: str) -> Blob:
        """Return the size and the generation. Raise KeyMissing."""
        blob = self.blob(self.key(key))
        with google_errors(self.locate(key)):
            blob.reload(**OPTIONS)
        return Blob(key, int(blob.size or 0), str(blob.generation))

    def holds(self, key: str) -> bool:
        """Return whether the key exists."""
        try:
            self.head(key)
        except KeyMissing:
            return False
        return True

    def listed(self, prefix: str) -> Iterator[Blob]:
        """Yield all objects whose key begins with the prefix, in order."""
        with google_errors(self.locate(prefix)):
            for page in self._pages(prefix).pages:
                self._require_page(page, prefix)
                for blob in page:
                    yield Blob(blob.name[len(self.prefix) :], int(blob.size), str(blob.generation))

    def folders(self, prefix: str) -> set[str]:
        """Return the keys of the folders directly below a prefix, each with its "/"."""
        found: set[str] = set()
        with google_errors(self.locate(prefix)):
            pages = self._pages(prefix, delimiter="/")
            for page in pages.pages:
                self._require_page(page, prefix)
                found |= pages.prefixes
        return {name[len(self.prefix) :] for name in found}

    def remove(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        self.remove_full(self.key(key))

    def remove_full(self, full: str, generation: int | None = None) -> None:
        """Delete an object by its key in the bucket, or just this generation; a missing one is no error."""
        try:
            self.blob(full).delete(if_generation_match=generation, **OPTIONS)
        except GOOGLE_ERRORS as error:
            failure = google_error(error, f"gs://{self.name}/{full}")
            if not isinstance(failure, KeyMissing):
                raise failure from error

    def _pages(self, prefix: str, **options: Any) -> Any:
        return self.client.list_blobs(
            self.name, prefix=self.prefix + prefix, fields=_LISTED, page_size=PAGE, **options, **OPTIONS
        )

    def _require_page(self, page: Any, prefix: str) -> None:
        """Raise StoreUnavailable unless the answer is a page: the library takes any document for an empty one."""
        answer = page.raw_page
        if not isinstance(answer, dict) or answer.get("kind") != "storage#objects":
            raise StoreUnavailable(
                "The answer is no page of a listing of Google Cloud Storage; check what answers at its address "
                f"[{self.locate(prefix)}]"
            )
