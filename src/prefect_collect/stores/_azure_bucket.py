"""The requests to a container of Azure Blob Storage, below a prefix, by Azure's own library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import requests
from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobPrefix, BlobProperties, ContainerClient, ExponentialRetry

from prefect_collect.errors import CorruptSegment, KeyExists, KeyMissing, StoreError, StoreUnavailable
from prefect_collect.stores._azure_errors import azure_error, azure_errors, code_of, status_of
from prefect_collect.stores._base import Blob, Buffer
from prefect_collect.stores._fenced_http import fenced
from prefect_collect.stores._keys import key_parts
from prefect_collect.stores._objects import Fetched, Token, new_token
from prefect_collect.stores.azure_access import AzureAccess

_MIB: Final = 1 << 20
_TOKEN: Final = "collect_write"  # an identifier of C#, as Azure asks of names of metadata
_LONGEST_KEY: Final = 1024  # characters, with the prefix

PAGE: Final = 1000
"""Objects on a page of a listing."""

RETRIES: Final[dict[str, Any]] = {
    "initial_backoff": 0, "increment_base": 2, "random_jitter_range": 1, "retry_total": 5,
}  # fmt: skip
"""How requests are repeated while the server is busy or not reached: after 1, 2, 4, 8 and 16 seconds."""


class AzureBucket:
    """Requests to one container, below one prefix; the client is created at the first request and shared by threads."""

    def __init__(self, name: str, prefix: str, access: AzureAccess, endpoint_url: str | None) -> None:
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self._access = access
        self._endpoint_url = endpoint_url
        self._client: ContainerClient | None = None
        self._lock = threading.Lock()

    @property
    def access(self) -> AzureAccess:
        """The account and its credentials. Raise StoreAccessDenied if none is named."""
        return self._access.resolved(self._endpoint_url)

    @property
    def endpoint(self) -> str:
        """The account's address."""
        return self.access.account_url or ""

    @property
    def client(self) -> ContainerClient:
        """The client. Raise StoreAccessDenied if there are no credentials."""
        with self._lock:
            if self._client is None:
                access = self.access
                try:
                    self._client = ContainerClient(
                        access.account_url or "",
                        self.name,
                        credential=access.credential(),
                        transport=RequestsTransport(session=fenced(requests.Session()), session_owner=False),
                        retry_policy=ExponentialRetry(**RETRIES),
                        connection_timeout=10,
                        read_timeout=120,
                        max_single_put_size=64 * _MIB,
                        max_single_get_size=512 * _MIB,
                    )
                except ValueError as error:
                    raise StoreError(
                        f"The account's address or credentials cannot be used [{self.locate('').rstrip('/')}]"
                    ) from type(error)("…")
            return self._client

    def key(self, key: str) -> str:
        """Return the key in the container. Raise StoreError if Azure does not allow it."""
        key_parts(key)
        full = self.prefix + key
        try:
            full.encode()
        except UnicodeEncodeError as error:
            raise StoreError(f"Names of Azure Blob Storage are UTF-8, and this one is not [key={key!r}]") from error
        if "\\" in full:
            raise StoreError(f"Azure Blob Storage takes a backslash in a name for a slash; rename it [key={key!r}]")
        if len(full) > _LONGEST_KEY:
            raise StoreError(
                f"Names of Azure Blob Storage have at most {_LONGEST_KEY} characters, and this one has {len(full)} "
                f"[key={key}]"
            )
        return full

    def locate(self, key: str) -> str:
        """Return the full URL of a key."""
        return f"az://{self.name}/{self.prefix}{key}"

    def blob(self, key: str) -> BlobClient:
        """Return the library's client of an object; nothing is sent."""
        full = self.key(key)
        return self.client.get_blob_client(full)

    def put(self, key: str, data: Buffer, *, replace: bool) -> Blob:
        """Write an object in one step, checked by its MD5. Raise KeyExists if the key exists, unless `replace`."""
        blob, token, body = self.blob(key), new_token(), bytes(data)

        def send() -> str:
            sent = blob.upload_blob(
                body, length=len(body), overwrite=replace, validate_content=True, metadata=metadata_of(token)
            )
            return str(sent["etag"])

        return Blob(key, len(body), self.conditionally(send, key, token))

    def conditionally(self, send: Callable[[], str], key: str, token: Token) -> str:
        """Send a request that may fail because the key exists, and return the object's ETag.

        After a refusal or a lost answer, an earlier sending of the same request may have succeeded: the object then has
        our token.
        """
        try:
            return send().strip('"')
        except AzureError as error:
            failure = azure_error(error, self.locate(key))
            is_lost = code_of(error).endswith(("InvalidBlockList", "INVALID_BLOCK_LIST"))
            may_be_own = is_lost or isinstance(failure, (KeyExists, StoreUnavailable))
            own = self._own_etag(key, token) if may_be_own else None
            if own is not None:
                return own
            if is_lost and self.holds(key):
                failure = KeyExists(f"Another writer created the object first [{self.locate(key)}]")
            raise failure from error

    def _own_etag(self, key: str, token: Token) -> str | None:
        """Return the ETag of the object if it has this mark."""
        try:
            found = self.blob(key).get_blob_properties()
        except AzureError:
            return None
        return str(found.etag).strip('"') if (found.metadata or {}).get(_TOKEN) == token.value else None

    def get(self, key: str, start: int = 0, end: int | None = None, etag: str = "") -> Fetched:
        """Return bytes of an object, and its size and ETag; there are none past its end.

        Raise CorruptSegment if the object no longer has the given `etag`.
        """
        options: dict[str, Any] = {}
        if etag:
            options = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        if start or end is not None:
            options |= {"offset": start, "length": None if end is None else end - start}
        try:
            found = self.blob(key).download_blob(**options)
            data = found.readall()
        except AzureError as error:
            location = self.locate(key)
            if status_of(error) == 416:
                return Fetched(b"", start, "")
            if status_of(error) == 412:
                raise CorruptSegment(
                    f"The object was replaced while it was in use (its ETag differs) [{location}]"
                ) from error
            raise azure_error(error, location) from error
        total = str(found.properties.content_range or "").rpartition("/")[2]
        size = int(total) if total.isdigit() else start + len(data)
        return Fetched(data, size, str(found.properties.etag).strip('"'))

    def head(self, key: str) -> Blob:
        """Return the size and ETag. Raise KeyMissing."""
        with azure_errors(self.locate(key)):
            found = self.blob(key).get_blob_properties()
        return Blob(key, int(found.size), str(found.etag).strip('"'))

    def holds(self, key: str) -> bool:
        """Return whether the key exists."""
        try:
            self.head(key)
        except KeyMissing:
            return False
        return True

    def listed(self, prefix: str) -> Iterator[Blob]:
        """Yield all objects whose key begins with the prefix, without the folders of a hierarchical namespace."""
        start = len(self.prefix)
        with azure_errors(self.locate(prefix)):
            pages = self.client.list_blobs(
                name_starts_with=self.prefix + prefix, include=["metadata"], results_per_page=PAGE
            ).by_page()
            for page in pages:
                self._require_page(pages, prefix)
                for blob in page:
                    if (blob.metadata or {}).get("hdi_isfolder") != "true":
                        yield Blob(blob.name[start:], int(blob.size), str(blob.etag).strip('"'))

    def folders(self, prefix: str) -> set[str]:
        """Return the keys of the folders directly below a prefix, each with its "/"."""
        with azure_errors(self.locate(prefix)):
            found = list(self.client.walk_blobs(name_starts_with=self.prefix + prefix, delimiter="/"))
        names = [
            entry.name for entry in found if isinstance(entry, BlobPrefix) or not isinstance(entry, BlobProperties)
        ]
        return {name[len(self.prefix) :] for name in names}

    def remove(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        try:
            self.blob(key).delete_blob()
        except AzureError as error:
            failure = azure_error(error, self.locate(key))
            if not isinstance(failure, KeyMissing):
                raise failure from error

    def _require_page(self, pages: Any, prefix: str) -> None:
        """Raise StoreUnavailable unless the answer is a page: the library takes any XML document for an empty one."""
        if not getattr(pages, "service_endpoint", None):
            raise StoreUnavailable(
                "The answer is no page of a listing of Azure Blob Storage; check what answers at its address "
                f"[{self.locate(prefix)}]"
            )


def metadata_of(token: Token) -> dict[str, str]:
    """Return the mark as metadata of an object."""
    return {_TOKEN: token.value}
