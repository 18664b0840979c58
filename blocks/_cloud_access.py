"""The credentials for Google Cloud Storage and Azure Blob Storage: a secret of the block, or a saved block of Prefect.

What a saved block holds is read from Prefect's server, so that neither prefect-gcp nor prefect-azure must be installed.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from prefect_collect.blocks._connected import EMPTY_IS_NONE
from prefect_collect.errors import InvalidLocation, SourceNotFound
from prefect_collect.storable import require_storable
from prefect_collect.stores.azure_access import AzureAccess, check_connection_string
from prefect_collect.stores.gcs_access import GcsAccess, check_service_account

Access = GcsAccess | AzureAccess

SLUGS: Final = {"gs": "gcp-credentials", "az": "azure-blob-storage-credentials"}
"""The type of the saved credentials block for each scheme: GcpCredentials, AzureBlobStorageCredentials."""

Secret = Annotated[
    SecretStr | None,
    BeforeValidator(lambda value: json.dumps(value) if isinstance(value, dict) and value else value),
    EMPTY_IS_NONE,
    Field(
        description="The JSON key of a service account (gs://), or the account's connection string, which may hold a "
        "SAS token (az://); by default what is found in the environment.",
    ),
]
"""The field of a secret for ``gs://`` or ``az://``."""


def _named(value: str) -> str:
    require_storable(value, "credentials_block", InvalidLocation)
    slug, has_slug, name = value.rpartition("/")
    if value and (not name or (has_slug and slug not in SLUGS.values())):
        raise InvalidLocation(
            "credentials_block must be the name of a saved GcpCredentials or AzureBlobStorageCredentials block. "
            f"[credentials_block={value}]"
        )
    return name


CredentialsBlock = Annotated[
    str,
    AfterValidator(_named),
    Field(
        title="Credentials Block",
        description="The name of a saved GcpCredentials (gs://) or AzureBlobStorageCredentials (az://) block.",
    ),
]
"""The field that names a saved block for ``gs://`` or ``az://``; it keeps the name alone."""


def taken(fields: Any) -> Any:
    """Return a block's fields with a block of prefect-gcp or prefect-azure in `credentials` put where it belongs.

    A saved block becomes its name, another one its secret. Raise InvalidLocation if it has to be saved first.
    """
    given = fields.get("credentials") if isinstance(fields, dict) else None
    if not isinstance(given, Block) or given.get_block_type_slug() not in SLUGS.values():
        return fields
    rest = {name: value for name, value in fields.items() if name != "credentials"}
    if given._block_document_name and not given._is_anonymous:
        return {**rest, "credentials_block": given._block_document_name}
    return {**rest, "secret": _secret_of(given)}


def _secret_of(block: Any) -> SecretStr:
    key, text = getattr(block, "service_account_info", None), getattr(block, "connection_string", None)
    if key is not None:
        return SecretStr(json.dumps(key.get_secret_value()))
    if text is not None:
        return SecretStr(text.get_secret_value())
    raise InvalidLocation(
        "A credentials block without a key or connection string must be saved in Prefect before it is given. "
        "[credentials]"
    )


def check_access(scheme: str, secret: SecretStr | None, name: str, *, anonymous: bool = False) -> None:
    """Raise InvalidLocation if the fields do not go together, or the secret is not for that scheme."""
    if sum([secret is not None, bool(name), anonymous]) > 1:
        raise InvalidLocation("secret, credentials_block and anonymous exclude each other; give one. [secret]")
    if (secret is not None or name) and scheme not in SLUGS:
        raise InvalidLocation(
            f"secret and credentials_block are for gs:// and az:// only; use credentials. [url={scheme}://…]"
        )
    if secret is not None:
        check = check_service_account if scheme == "gs" else check_connection_string
        check(secret.get_secret_value())


def access_from(scheme: str, secret: SecretStr | None, name: str, *, anonymous: bool = False) -> Access:
    """Return the access to ``gs://`` or ``az://``. Raise SourceNotFound if there is no saved block of that name."""
    text = None if secret is None else secret.get_secret_value()
    if name:
        return _saved(scheme, name)
    if scheme == "gs":
        return GcsAccess(service_account=text, anonymous=anonymous)
    return AzureAccess(connection_string=text, anonymous=anonymous)


def _saved(scheme: str, name: str) -> Access:
    with get_client(sync_client=True) as client:
        try:
            found = client.read_block_document_by_name(name, block_type_slug=SLUGS[scheme], include_secrets=True)
        except ObjectNotFound as error:
            raise SourceNotFound(
                f"No block is saved under this name in Prefect. [credentials_block={SLUGS[scheme]}/{name}]"
            ) from error
    data = found.data
    if scheme == "gs":
        key, path = data.get("service_account_info"), data.get("service_account_file")
        return GcsAccess(service_account=json.dumps(key) if key else None, service_account_file=path or None)
    return AzureAccess(
        account_url=data.get("account_url") or None,
        connection_string=data.get("connection_string") or None,
        tenant_id=data.get("tenant_id") or None,
        client_id=data.get("client_id") or None,
        client_secret=data.get("client_secret") or None,
    )
