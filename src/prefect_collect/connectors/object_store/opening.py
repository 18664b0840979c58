"""Opening a bucket of Google Cloud Storage or a container of Azure Blob Storage, by obstore."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import certifi

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.object_store._pages import read_azure_page
from prefect_collect.connectors.object_store._relay import Relay
from prefect_collect.connectors.object_store.bucket import Bucket, obstore_error
from prefect_collect.connectors.s3.page import Page, read_page, wrong_page
from prefect_collect.errors import StoreAccessDenied
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import SERVER, GcsAccess, emulator

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_NO_END: Final = timedelta(days=30)
"""The `timeout` of reads: obstore's is for a whole request, and 30 s if none is set."""

_RETRY: Final[dict[str, Any]] = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}

_A_PAGE: Final = timedelta(minutes=10)
"""The time within which a page of a listing, or the answer to a HEAD, must arrive: obstore receives a page whole."""


def open_bucket(
    url: str,
    *,
    access: GcsAccess | AzureAccess,
    endpoint_url: str | None,
    connect_timeout: float,
    read_timeout: float,
) -> Bucket:
    """Return the bucket at ``gs://bucket`` or ``az://container``.

    Args:
        url: The bucket's URL.
        access: The credentials; what they lack, obstore finds in the environment.
        endpoint_url: The address of another server.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a request fails.

    Raises:
        SourceError: The settings or the credentials cannot be used.
    """
    try:
        how = _gcs(access, endpoint_url) if isinstance(access, GcsAccess) else _azure(access, endpoint_url)
    except StoreAccessDenied as error:
        raise source_error("bad_credentials", str(error).partition(" [")[0], url) from error
    make = partial(_store, url, connect_timeout=connect_timeout)
    limits = Limits(connect_timeout, read_timeout, ssl.get_default_verify_paths().cafile or certifi.where())

    def pages(folder: str) -> Iterator[Page]:
        with _relay(url, folder, how, limits) as relay:
            # obstore waits for what this process sends; silence of the server itself is the relay's to find.
            through, patience = {**how, _address(how): relay.url}, _A_PAGE.total_seconds()
            store = make(through, 2 * _A_PAGE, read_timeout=patience, headers=relay.headers)
            yield from _pages(store, folder, relay, url)

    about = make(how, _A_PAGE, read_timeout=read_timeout)
    return Bucket(make(how, _NO_END, read_timeout=read_timeout), url, pages, about)


def _relay(url: str, folder: str, how: dict[str, Any], limits: Limits) -> Relay:
    scheme, _, bucket = url.partition("://")
    place = f"{url}/{folder}"
    server, seconds = how.get(_address(how)) or SERVER, _A_PAGE.total_seconds()
    if scheme == "gs":
        read = partial(read_page, bucket=bucket, prefix=folder, place=place, has_flag=False)
        return Relay(server, place, limits, seconds, read, "&encoding-type=url")
    read = partial(read_azure_page, container=bucket, prefix=folder, place=place)
    return Relay(server, place, limits, seconds, read)


def _address(how: dict[str, Any]) -> str:
    """Return the name of obstore's option that has the server's address."""
    return "endpoint" if "endpoint" in how else "base_url"


def _pages(store: ObjectStore, folder: str, relay: Relay, url: str) -> Iterator[Page]:
    """Yield the pages that the relay has seen: for each, obstore gets one object in their place."""
    import obstore

    asked = iter(obstore.list(store, folder or None, chunk_size=1))
    while True:
        try:
            came = next(asked, None)
        except Exception as error:
            raise relay.error or obstore_error(error, f"{url}/{folder}") from error
        if came is None:
            if relay.pages:  # an answer that obstore did not get, and asked for once more
                raise wrong_page("a page came that obstore did not ask for", f"{url}/{folder}")
            return
        yield relay.pages.popleft()


def server_of(access: GcsAccess | AzureAccess, endpoint_url: str | None) -> str:
    """Return the address of the server, or of the account. Raise SourceError if no account is named."""
    if isinstance(access, GcsAccess):
        return endpoint_url or emulator() or SERVER
    try:
        return access.resolved(endpoint_url).account_url or ""
    except StoreAccessDenied as error:
        raise source_error("bad_credentials", str(error).partition(" [")[0], "az://") from error


def _store(
    url: str,
    how: dict[str, Any],
    most: timedelta,
    *,
    connect_timeout: float,
    read_timeout: float,
    headers: dict[str, str] | None = None,
) -> ObjectStore:
    """Return obstore's store; its requests may last for `most`, and be silent for `read_timeout` seconds.

    Each of them has the `headers` too.
    """
    from obstore.store import AzureStore, GCSStore

    address = how.get("base_url") or how.get("endpoint") or ""
    common: dict[str, Any] = {
        "client_options": {
            "connect_timeout": timedelta(seconds=connect_timeout),
            # Silence is limited, not the whole request: a large object may take as long as its bytes flow.
            "read_timeout": timedelta(seconds=read_timeout),
            "timeout": most,
            "allow_http": address.startswith("http://"),
            "default_headers": headers or {},
        },
        "retry_config": _RETRY,
        **how,
    }
    bucket = url.partition("://")[2]
    try:
        if url.startswith("gs://"):
            return GCSStore(bucket, **common)
        return AzureStore(bucket, **common)
    except Exception as error:
        raise obstore_error(error, url) from error


def _gcs(access: GcsAccess, endpoint_url: str | None) -> dict[str, Any]:
    how: dict[str, Any] = {}
    address = endpoint_url or emulator()
    if address:
        how["base_url"] = address
    key = access.key()
    if key is not None:
        how["service_account_key"] = key
    elif access.anonymous or (emulator() and not endpoint_url):
        how["skip_signature"] = True
    return how


def _azure(access: AzureAccess, endpoint_url: str | None) -> dict[str, Any]:
    found = access.resolved(endpoint_url)
    how: dict[str, Any] = {"endpoint": found.account_url, "account_name": found.account}
    secrets = {
        "account_key": found.account_key,
        "sas_key": found.sas_token,
        "tenant_id": found.tenant_id,
        "client_id": found.client_id,
        "client_secret": found.client_secret,
    }
    how |= {name: value for name, value in secrets.items() if value is not None}
    return how | ({"skip_signature": True} if found.anonymous else {})
