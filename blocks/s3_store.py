"""A bucket as staging store or destination."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, model_validator

from prefect_collect.blocks._fields import Credentials, EndpointUrl
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.s3.credentials import client_parameters, session_from
from prefect_collect.errors import InvalidLocation
from prefect_collect.storable import require_storable
from prefect_collect.stores import S3Store, Store


class S3StoreBlock(Block):
    """A bucket, or a prefix in one, that jobs write to: a staging store for collections, or an export's destination.

    Attributes:
        bucket: the bucket's name; it must exist.
        prefix: the "folder" in the bucket that everything goes to.
        endpoint_url: the S3 server, where it is not AWS.
        credentials: an AWS or MinIO credentials block; the environment's if not given.
        request_payer: say that whoever asks pays, for a bucket whose owner wants that.
        single_writer: vouches that nothing else ever writes there, for servers that ignore conditional creates.

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
        description="The folder in the bucket that everything goes to; by default its top.",
    )
    endpoint_url: EndpointUrl = Field(
        default=None,
        title="Endpoint URL",
        description="The S3 server's URL, such as http://localhost:9000, where it is not AWS.",
    )
    credentials: Credentials = Field(
        default=None,
        description="The credentials; by default those of the environment, as boto3 finds them.",
    )
    request_payer: bool = Field(
        default=False,
        title="Request Payer",
        description="Whether to pay for the requests, where the owner of the bucket demands it (requester pays).",
    )
    single_writer: bool = Field(
        default=False,
        title="Single Writer",
        description="Whether nothing else ever writes there; needed for S3 servers that ignore If-None-Match.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse, by its field, a text that Prefect could not keep when the block is saved."""
        require_storable(fields, "", InvalidLocation)
        return fields

    @model_validator(mode="after")
    def _can_be_named(self) -> Self:
        """Raise InvalidLocation for a bucket, prefix or address that cannot be."""
        S3Store(self.bucket, self.prefix, endpoint_url=self.endpoint_url)
        return self

    def store(self) -> Store:
        """The store in the bucket. Raises UsageError if the credentials name a profile that is not here."""
        return S3Store(
            self.bucket,
            self.prefix,
            endpoint_url=self.endpoint_url,
            session=session_from(self.credentials),
            client_parameters=client_parameters(self.credentials),
            single_writer=self.single_writer,
            request_payer=self.request_payer,
        )
