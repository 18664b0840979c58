"""How Azure Blob Storage is reached: which account, at which address, with which credentials."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from prefect_collect.errors import InvalidLocation, StoreAccessDenied, UsageError

_SUFFIX: Final = "core.windows.net"

_SAS: Final = re.compile(r"[\x21\x22\x24-\x7e]+")
"""A shared access signature: what has no ``#`` and can be part of a URL's query."""

WRONG_CREDENTIALS: Final = frozenset(
    {"AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo", "NoAuthenticationInformation"}
)
"""The error codes of requests whose signature, token or key Azure does not accept, or no longer."""

# Known to everybody: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
_DEVELOPMENT: Final = (
    "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/"
    "KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"
)


@dataclass(frozen=True)
class AzureAccess:
    """The account and the credentials for Azure Blob Storage; without any, those of the environment.

    Attributes:
        account_url: The account's address, as ``https://ACCOUNT.blob.core.windows.net``.
        account_name: The account's name, if its address does not have it.
        connection_string: A connection string of the account, with its key or a shared access signature.
        account_key: The account's key.
        sas_token: A shared access signature.
        tenant_id: The tenant of a service principal.
        client_id: The id of a service principal.
        client_secret: The secret of a service principal.
        anonymous: Send unsigned requests.
    """

    account_url: str | None = None
    account_name: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    anonymous: bool = False

    def resolved(self, endpoint_url: str | None = None) -> AzureAccess:
        """Return the access with its account's address, without a connection string, from the environment if need be.

        Raises:
            StoreAccessDenied: No account is named, or the connection string or the shared access signature is not one.
        """
        found = self
        if found.connection_string is None and not found.anonymous and found.account_url is None:
            found = replace(found, connection_string=_variable("CONNECTION_STRING"))
        if found.connection_string is not None:
            found = _of_string(found)
        elif found.account_url is None or endpoint_url is not None:
            found = _of_environment(found, endpoint_url)
        url = (endpoint_url or found.account_url or "").rstrip("/")
        return replace(found, account_url=url, sas_token=_signature(found.sas_token))

    @property
    def account(self) -> str:
        """The account's name."""
        if self.account_name:
            return self.account_name
        parts = urlsplit(self.account_url or "")
        host, path = parts.hostname or "", parts.path.strip("/")
        is_name = host.endswith(f".{_SUFFIX}") or not path
        return host.partition(".")[0] if is_name else path.partition("/")[0]

    def credential(self) -> Any:
        """Return the credential for Azure's library; None to send unsigned requests, or with a signature in the URL.

        Raises:
            StoreAccessDenied: There is none in the environment, and azure-identity, which finds others, is missing.
        """
        if self.anonymous:
            return None
        if self.account_key is not None:
            return {"account_name": self.account, "account_key": self.account_key}
        if self.sas_token is not None:
            return self.sas_token
        return self.identity()

    def identity(self, **options: Any) -> Any:
        """Return the identity that gets tokens: the service principal's, or what azure-identity finds.

        `options` are those of its requests.
        """
        try:
            from azure.identity import ClientSecretCredential, DefaultAzureCredential
        except ImportError as error:
            raise StoreAccessDenied(
                "No credentials for Azure were found; set an AzureBlobStorageCredentials block, "
                "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN; a service "
                "principal, a managed identity or `az login` needs azure-identity, so install the extra: pip install "
                "'prefect-collect[azure]'"
            ) from error
        if self.client_secret is not None:
            return ClientSecretCredential(self.tenant_id or "", self.client_id or "", self.client_secret, **options)
        return DefaultAzureCredential(**options)


def require_library() -> None:
    """Raise UsageError if Azure's library is not installed."""
    try:
        import azure.storage.blob  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "az:// as a store needs azure-storage-blob; install the extra: pip install 'prefect-collect[azure]'"
        ) from error


def check_connection_string(text: str) -> None:
    """Raise InvalidLocation if a text is no connection string of an account; the message does not repeat it."""
    try:
        AzureAccess(connection_string=text).resolved()
    except StoreAccessDenied as error:
        raise InvalidLocation(f"{error}. [secret]") from None


def _of_string(access: AzureAccess) -> AzureAccess:
    text = (access.connection_string or "").strip().rstrip(";")
    fields = _fields(text)
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        fields = _fields(_DEVELOPMENT)
    name = fields.get("accountname")
    url = fields.get("blobendpoint")
    if not url and name:
        protocol = fields.get("defaultendpointsprotocol") or "https"
        url = f"{protocol}://{name}.blob.{fields.get('endpointsuffix') or _SUFFIX}"
    if not url:
        raise StoreAccessDenied(
            "The connection string for Azure names no account (AccountName or BlobEndpoint); copy it from the "
            "account's access keys"
        )
    sas = fields.get("sharedaccesssignature")
    return AzureAccess(account_url=url, account_name=name, account_key=fields.get("accountkey"), sas_token=sas)


def _fields(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _of_environment(access: AzureAccess, endpoint_url: str | None) -> AzureAccess:
    name = _variable("ACCOUNT_NAME")
    if name is None and endpoint_url is None:
        raise StoreAccessDenied(
            "No account of Azure is named; set AZURE_STORAGE_ACCOUNT_NAME and the account's credentials, "
            "AZURE_STORAGE_CONNECTION_STRING, or an AzureBlobStorageCredentials block"
        )
    url = access.account_url or f"https://{name}.blob.{_SUFFIX}"
    if access.anonymous or access.account_key or access.sas_token or access.client_secret:
        return replace(access, account_url=url, account_name=name)
    key = _variable("ACCOUNT_KEY") or _variable("ACCESS_KEY")
    sas = None if key else _variable("SAS_TOKEN") or _variable("SAS_KEY")
    return replace(access, account_url=url, account_name=name, account_key=key, sas_token=sas)


def _signature(text: str | None) -> str | None:
    """Return a shared access signature as it stands in a URL. Raise StoreAccessDenied if it cannot stand there."""
    text = text and text.strip().removeprefix("?")
    if text and _SAS.fullmatch(text) is None:
        raise StoreAccessDenied(
            "The shared access signature for Azure has characters that none has; copy it again, all of it and nothing "
            "else"
        )
    return text


def _variable(name: str) -> str | None:
    return os.environ.get(f"AZURE_STORAGE_{name}") or None
