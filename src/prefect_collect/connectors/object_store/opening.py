"""Opening a bucket of Google Cloud Storage or a container of Azure Blob Storage."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import certifi

from prefect_collect.connectors.buckets.listing import quoted
from prefect_collect.connectors.buckets.page import Token
from prefect_collect.connectors.buckets.s3_page import page_query, read_page, token_in
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.object_store._azure_page import marker_in, read_azure_page
from prefect_collect.connectors.object_store._tokens import AzureTokens, GoogleTokens, refused
from prefect_collect.connectors.object_store.bucket import Bucket, Speech
from prefect_collect.connectors.object_store.signing import AZURE_VERSION, Bearer, SharedKey, Signer, Unsigned
from prefect_collect.connectors.per_process import per_process
from prefect_collect.errors import StoreAccessDenied
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import SERVER, GcsAccess, emulator

_ENVIRONMENT: Final = (
    "AZURE_", "GOOGLE_", "CLOUDSDK_", "GCE_METADATA_", "STORAGE_EMULATOR_HOST", "SSL_CERT_FILE", "IDENTITY_", "MSI_",
)  # fmt: skip
"""How the names begin of variables that say where a server is, and with which credentials."""


@dataclass(frozen=True)
class Access:
    """The settings by which a bucket is reached, and the key by which `connect` keeps connections.

    Attributes:
        url: The bucket's URL, as ``gs://bucket`` or ``az://container``.
        credentials: The credentials; what they lack is found in the environment.
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
            raise refused(error, access.url) from error
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
            signer: Signer = _google_signer(given, certificates, url, access.endpoint_url)
            return Bucket(url, server, _GOOGLE, signer, limits)
        found = given.resolved(access.endpoint_url)
        return Bucket(url, found.account_url or "", _AZURE, _azure_signer(found, certificates, url), limits)
    except StoreAccessDenied as error:
        raise refused(error, url) from error


def server_of(access: GcsAccess | AzureAccess, endpoint_url: str | None) -> str:
    """Return the address of the server, or of the account. Raise SourceError if no account is named."""
    if isinstance(access, GcsAccess):
        return endpoint_url or emulator() or SERVER
    try:
        return access.resolved(endpoint_url).account_url or ""
    except StoreAccessDenied as error:
        raise refused(error, "az://") from error


def _google_signer(given: GcsAccess, certificates: str, url: str, endpoint_url: str | None) -> Signer:
    if given.anonymous or (given.service_account is None and emulator() and not endpoint_url):
        return Unsigned()
    return Bearer(GoogleTokens(given, certificates, url), url)


def _azure_signer(found: AzureAccess, certificates: str, url: str) -> Signer:
    if found.anonymous:
        return Unsigned()
    if found.account_key is not None:
        try:
            return SharedKey(found.account, found.account_key)
        except ValueError:
            what = "The account's key is not one of Azure, which is base64; copy it from the account's access keys"
            raise source_error("bad_credentials", what, url) from None
    if found.sas_token is not None:
        return Unsigned(found.sas_token)
    return Bearer(AzureTokens(found, certificates, url), url)


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
