"""Opening a bucket of Google Cloud Storage or a container of Azure Blob Storage."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import certifi

from prefect_collect.connectors.buckets.listing import quoted
from prefect_collect.connectors.buckets.page import Token
from prefect_collect.connectors.buckets.s3_page import page_query, read_page, token_in
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.object_store._azure_page import marker_in, read_azure_page
from prefect_collect.connectors.object_store._tokens import Tokens
from prefect_collect.connectors.object_store.bucket import Bucket, Speech
from prefect_collect.connectors.object_store.failures import obstore_error
from prefect_collect.connectors.object_store.signing import AZURE_VERSION, Bearer, SharedKey, Signer, Unsigned
from prefect_collect.connectors.per_process import per_process
from prefect_collect.errors import SourceError, StoreAccessDenied
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import SERVER, GcsAccess, emulator

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_ENVIRONMENT: Final = ("AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST", "SSL_CERT_FILE", "IDENTITY_", "MSI_")
"""How the names begin of variables that say where a server is, and with which credentials."""

_BEFORE_A_PRINCIPAL: Final = (
    "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY", "AZURE_STORAGE_TOKEN",
    "AZURE_FEDERATED_TOKEN_FILE",
)  # fmt: skip
"""The variables that obstore uses even if it is given a service principal."""

_A_TOKEN: Final = timedelta(minutes=1)
"""The time within which the server of the credentials must answer."""

_RETRY: Final[dict[str, Any]] = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}


@dataclass(frozen=True)
class Access:
    """The settings by which a bucket is reached, and the key by which `connect` keeps connections.

    Attributes:
        url: The bucket's URL, as ``gs://bucket`` or ``az://container``.
        credentials: The credentials; what they lack, obstore finds in the environment.
        endpoint_url: The address of another server.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a request fails.
    """

    url: str
    credentials: GcsAccess | AzureAccess
    endpoint_url: str | None
    connect_timeout: float
    read_timeout: float


def connect(access: Access) -> Bucket:
    """Return the bucket for these settings; it is shared within the process. Raise SourceError."""
    found = {name: text for name, text in os.environ.items() if name.startswith(_ENVIRONMENT)}
    if isinstance(access.credentials, GcsAccess):
        try:
            key = access.credentials.key()  # its file may have been replaced
        except StoreAccessDenied as error:
            raise _refused(error, access.url) from error
        access = replace(access, credentials=GcsAccess(key, anonymous=access.credentials.anonymous))
    return _bucket(access, hashlib.sha256(repr(sorted(found.items())).encode()).digest())


@per_process
def _bucket(access: Access, _environment: bytes) -> Bucket:
    url, given = access.url, access.credentials
    certificates = ssl.get_default_verify_paths().cafile or certifi.where()
    limits = Limits(access.connect_timeout, access.read_timeout, certificates)
    try:
        if isinstance(given, GcsAccess):
            server = server_of(given, access.endpoint_url)
            return Bucket(url, server, _GOOGLE, _google_signer(access, given), limits)
        found = given.resolved(access.endpoint_url)
        return Bucket(url, found.account_url or "", _AZURE, _azure_signer(access, found), limits)
    except StoreAccessDenied as error:
        raise _refused(error, url) from error


def _refused(error: StoreAccessDenied, place: str) -> SourceError:
    return source_error("bad_credentials", str(error).partition(" [")[0], place)


def server_of(access: GcsAccess | AzureAccess, endpoint_url: str | None) -> str:
    """Return the address of the server, or of the account. Raise SourceError if no account is named."""
    if isinstance(access, GcsAccess):
        return endpoint_url or emulator() or SERVER
    try:
        return access.resolved(endpoint_url).account_url or ""
    except StoreAccessDenied as error:
        raise _refused(error, "az://") from error


def _google_signer(access: Access, given: GcsAccess) -> Signer:
    key = given.service_account
    if key is None and (given.anonymous or (emulator() and not access.endpoint_url)):
        return Unsigned()
    return _bearer(access, {} if key is None else {"service_account_key": key}, "base_url")


def _azure_signer(access: Access, found: AzureAccess) -> Signer:
    if found.anonymous:
        return Unsigned()
    if found.account_key is not None:
        try:
            return SharedKey(found.account, found.account_key)
        except ValueError:
            what = "The account's key is not one of Azure, which is base64; copy it from the account's access keys"
            raise source_error("bad_credentials", what, access.url) from None
    if found.sas_token is not None:
        return Unsigned(found.sas_token)
    named = {"tenant_id": found.tenant_id, "client_id": found.client_id, "client_secret": found.client_secret}
    how: dict[str, Any] = {name: text for name, text in named.items() if text is not None}
    if found.client_secret is not None:
        how |= {"skip_signature": False, "use_emulator": False}  # whatever the environment says
        _require_unset(access.url)
    return _bearer(access, {"account_name": found.account, **how}, "endpoint")


def _require_unset(place: str) -> None:
    """Raise SourceError if obstore would use the environment in place of a service principal that it is given."""
    if found := [name for name in _BEFORE_A_PRINCIPAL if os.environ.get(name)]:
        what = f"{' and '.join(found)} of the environment would be used in place of the block's service principal"
        raise source_error("bad_credentials", f"{what}; unset it for this process", place)


def _bearer(access: Access, how: dict[str, Any], address: str) -> Signer:
    """Return what signs by the tokens of obstore, which has the server's address as its option `address`."""

    def make(server: str, headers: dict[str, str]) -> ObjectStore:
        from obstore.store import AzureStore, GCSStore

        common: dict[str, Any] = {
            "client_options": {
                "connect_timeout": timedelta(seconds=access.connect_timeout),
                "timeout": _A_TOKEN,
                "allow_http": True,
                "default_headers": headers,
            },
            "retry_config": _RETRY,
            address: server,
            **how,
        }
        bucket = access.url.partition("://")[2]
        try:
            return GCSStore(bucket, **common) if address == "base_url" else AzureStore(bucket, **common)
        except Exception as error:
            raise obstore_error(error, access.url) from error

    return Bearer(Tokens(make, partial(obstore_error, place=access.url), access.url).obtain)


def _azure_query(prefix: str, token: Token | None) -> str:
    start = "" if token is None else f"marker={quoted(str(token))}&"
    return f"comp=list&{start}prefix={quoted(prefix)}&restype=container"


_GOOGLE: Final = Speech(
    (),
    ("Accept-Encoding: identity",),
    ("Accept-Encoding: gzip",),  # else the server unpacks what was stored compressed, and sends other bytes than listed
    page_query,
    partial(read_page, has_flag=False),
    token_in,
)
_AZURE: Final = Speech((AZURE_VERSION,), (), (), _azure_query, read_azure_page, marker_in)
