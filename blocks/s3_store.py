"""The block of an S3 bucket as staging store or destination."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, HttpUrl, model_validator

from prefect_collect.blocks._fields import Credentials, EndpointUrl
from prefect_collect.blocks._schema_once import SchemaOnce
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.s3.credentials import client_parameters, session_from
from prefect_collect.errors import InvalidLocation
from prefect_collect.storable import require_storable
from prefect_collect.stores import S3Store, Store


class S3StoreBlock(SchemaOnce):
    """A bucket, or a prefix in one, that jobs write to: a staging store for collections, or an export's destination.

    Attributes:
        bucket: The name of an existing bucket.
        prefix: The folder in the bucket that everything is written to.
        endpoint_url: The S3 server, if it is not AWS.
        credentials: An AWS or MinIO credentials block; by default the environment's credentials.
        request_payer: Pay for the requests, if the bucket's owner requires it (requester pays).
        single_writer: Your assurance that nothing else ever writes there, for servers that ignore conditional creates.

    Example:
        Load a stored bucket and collect into it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import S3StoreBlock, source_from

        store = S3StoreBlock.load("BLOCK_NAME")
        collect(source=source_from("/srv/mail"), store=store)
        ```
    """

    _block_type_name = "Collect S3 Store"
    _block_type_slug = "collect-s3-store"
    _logo_url: ClassVar[Any] = Logo(
        "collect-s3-store.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    bucket: str = Field(
        description="The bucket's name; the bucket must exist.",
    )
    prefix: str = Field(
        default="",
        description="The folder in the bucket that everything is written to; by default the whole bucket.",
    )
    endpoint_url: EndpointUrl = Field(
        default=None,
        title="Endpoint URL",
        description="The S3 server's URL, such as http://localhost:9000, if it is not AWS.",
    )
    credentials: Credentials = Field(
        default=None,
        description="The credentials; by default those that boto3 finds in the environment.",
    )
    request_payer: bool = Field(
        default=False,
        title="Request Payer",
        description="Pay for the requests, if the owner of the bucket requires it (requester pays).",
    )
    single_writer: bool = Field(
        default=False,
        title="Single Writer",
        description="Your assurance that nothing else ever writes there; S3 servers that ignore If-None-Match need it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse a text that Prefect could not store when the block is saved; the error names the field."""
        require_storable(fields, "", InvalidLocation)
        return fields

    @model_validator(mode="after")
    def _check_location(self) -> Self:
        """Raise InvalidLocation for a bucket, prefix or address that cannot be used."""
        S3Store(self.bucket, self.prefix, endpoint_url=self.endpoint_url)
        return self

    def store(self) -> Store:
        """Return the store in the bucket. Raise UsageError if the credentials' profile is missing on this machine."""
        return S3Store(
            self.bucket,
            self.prefix,
            endpoint_url=self.endpoint_url,
            session=session_from(self.credentials),
            client_parameters=client_parameters(self.credentials),
            single_writer=self.single_writer,
            request_payer=self.request_payer,
        )
