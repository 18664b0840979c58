"""The block of a bucket of Google Cloud Storage, or a container of Azure, as staging store or destination."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, HttpUrl, PrivateAttr, model_validator

from prefect_collect.blocks._cloud_access import Access, CredentialsBlock, Secret, access_from, check_access, taken
from prefect_collect.blocks._fields import EndpointUrl
from prefect_collect.blocks._schema_once import SchemaOnce
from prefect_collect.blocks.logos import Logo
from prefect_collect.errors import InvalidLocation
from prefect_collect.storable import require_storable
from prefect_collect.stores import Store, open_store
from prefect_collect.stores.addresses import BUCKET_URLS, shown


class CloudStoreBlock(SchemaOnce):
    """A bucket of Google Cloud Storage, or a container of Azure Blob Storage, or a prefix in one, that jobs write to.

    It is a staging store for collections, or an export's destination. The extra ``gcp`` or ``azure`` brings the
    service's library.

    Attributes:
        url: ``gs://bucket/prefix`` or ``az://container/prefix``; the bucket or container must exist.
        endpoint_url: The server, if it is not Google's, or not Azure's own for the account.
        secret: The JSON key of a service account (gs://), or a connection string, which may hold a SAS token (az://).
        credentials_block: The name of a saved GcpCredentials (gs://) or AzureBlobStorageCredentials (az://) block. Such
            a block may also be given as `credentials`. Without it and `secret`, the environment's credentials are used.

    Example:
        Load a stored bucket and collect into it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import CloudStoreBlock, source_from

        store = CloudStoreBlock.load("BLOCK_NAME")
        collect(source=source_from("/srv/mail"), store=store)
        ```
    """

    _block_type_name = "Collect Cloud Store"
    _block_type_slug = "collect-cloud-store"
    _logo_url: ClassVar[Any] = Logo(
        "collect-cloud-store.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        title="URL",
        description=f"Where to write: {BUCKET_URLS['gs']} or {BUCKET_URLS['az']}; the bucket or container must exist.",
    )
    endpoint_url: EndpointUrl = Field(
        default=None,
        title="Endpoint URL",
        description="The server's URL, if it is not Google's, or not Azure's own for the account.",
    )
    secret: Secret = None
    credentials_block: CredentialsBlock = ""

    _loaded: Access | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse a text that Prefect could not store when the block is saved; the error names the field."""
        fields = taken(fields)
        require_storable(fields, "", InvalidLocation)
        return fields

    @model_validator(mode="after")
    def _check_location(self) -> Self:
        """Raise InvalidLocation for a URL, address or secret that cannot be used."""
        if self._scheme not in ("gs", "az"):
            raise InvalidLocation(f"url must be {BUCKET_URLS['gs']} or {BUCKET_URLS['az']}. [url={shown(self.url)}]")
        check_access(self._scheme, self.secret, self.credentials_block)
        open_store(self.url, endpoint_url=self.endpoint_url)
        return self

    def store(self) -> Store:
        """Return the store. Raise SourceNotFound if Prefect has no credentials block of that name."""
        if self._loaded is None:
            self._loaded = access_from(self._scheme, self.secret, self.credentials_block)
        return open_store(self.url, endpoint_url=self.endpoint_url, access=self._loaded)

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]
