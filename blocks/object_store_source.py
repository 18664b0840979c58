"""The block of a bucket as a data source: on S3 and compatible servers, Google Cloud Storage or Azure Blob Storage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

from pydantic import Field, HttpUrl, PrivateAttr, field_validator, model_validator

from prefect_collect.blocks._cloud_access import (
    SLUGS,
    Access,
    CredentialsBlock,
    Secret,
    access_from,
    check_access,
    taken,
)
from prefect_collect.blocks._connected import ConnectTimeout, ReadTimeout
from prefect_collect.blocks._fields import CREDENTIALS_SLUGS, Credentials, EndpointUrl
from prefect_collect.blocks.data_source import SECRETS, DataSource, SavedBlocks
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.object_store.opening import server_of
from prefect_collect.connectors.overlaps import prefix_overlap
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Content, Item, Listed, Overlap
from prefect_collect.stores import Store, folder_in_bucket
from prefect_collect.stores.addresses import BUCKET_URLS, listed, require_unsigned, scheme_names, shown
from prefect_collect.stores.buckets import is_access_point, require_supported, split_bucket

if TYPE_CHECKING:
    from prefect_collect.connectors.s3.connection import Connection

_BUCKET: Final = re.compile(r"[$A-Za-z0-9][A-Za-z0-9._-]{2,254}")


class ObjectStoreSource(DataSource):
    """The objects of a bucket whose keys begin with a prefix.

    An item's id is its key; its path is the part of the key after the last "/" of the prefix. ``s3://bucket/mail/2024``
    collects both ``mail/2024/1.eml`` and ``mail/2024-old/2.eml``: end the URL in "/" for a single folder. Folder
    markers of 0 bytes are skipped.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``s3://bucket/prefix`` (or an access point's ARN in place of the bucket), ``gs://bucket/prefix`` or
            ``az://container/prefix``.
        endpoint_url: The server, if it is not the cloud provider's own.
        region: The region of an S3 bucket.
        credentials: An AWS or MinIO credentials block for S3; by default the environment's credentials. A block
            GcpCredentials or AzureBlobStorageCredentials, for gs:// and az://, may be given too.
        secret: The JSON key of a service account (gs://), or a connection string, which may hold a SAS token (az://).
        credentials_block: The name of a saved GcpCredentials (gs://) or AzureBlobStorageCredentials (az://) block.
        anonymous: Send requests without credentials, for a public bucket.
        versions: "current", or "all": each version of an S3 object is an item, and a delete marker a skipped one.
        request_payer: Pay for the requests, if the bucket's owner requires it (requester pays).
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds without data after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import ObjectStoreSource

        source = ObjectStoreSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Object Store Source"
    _block_type_slug = "object-store-source"
    _logo_url: ClassVar[Any] = Logo(
        "object-store-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        description=f"Where the objects are: {listed(BUCKET_URLS.values(), 'or')}.",
    )
    endpoint_url: EndpointUrl = Field(
        default=None,
        title="Endpoint URL",
        description="The server's URL, such as http://localhost:9000, if it is not the cloud provider's own.",
    )
    region: str | None = Field(
        default=None,
        description="The bucket's region (S3 only); by default that of the credentials or the environment.",
    )
    credentials: Credentials = Field(
        default=None,
        description="The credentials for S3; by default those that boto3 finds in the environment.",
    )
    secret: Secret = None
    credentials_block: CredentialsBlock = ""
    anonymous: bool = Field(
        default=False,
        description="Send requests without credentials, for a public bucket.",
    )
    request_payer: bool = Field(
        default=False,
        title="Request Payer",
        description="Pay for the requests, if the owner of the S3 bucket requires it (requester pays).",
    )
    versions: Literal["current", "all"] = Field(
        default="current",
        description="all: collect every version of each S3 object, and report delete markers; else the current ones.",
    )
    connect_timeout: ConnectTimeout = 10.0
    read_timeout: ReadTimeout = 60.0

    _loaded: Access | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _take_credentials(cls, fields: Any) -> Any:
        return taken(fields)

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        require_unsigned(value, "url")
        scheme, found, rest = value.partition("://")
        if not found or scheme not in BUCKET_URLS:
            raise InvalidLocation(f"url must begin with {listed(scheme_names(), 'or')}. [url={shown(value)}]")
        bucket = split_bucket(rest)[0] if scheme == "s3" else rest.partition("/")[0]
        if scheme == "s3":
            require_supported(bucket, "url")
        if not is_access_point(bucket) and not _BUCKET.fullmatch(bucket):
            raise InvalidLocation(f"url must name a bucket, as in {BUCKET_URLS[scheme]}. [url={shown(value)}]")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Any:
        if self.anonymous and self.credentials is not None:
            raise InvalidLocation("anonymous and credentials exclude each other; leave one out. [anonymous=True]")
        if self.request_payer and (self.anonymous or self._scheme != "s3"):
            raise InvalidLocation(
                "request_payer is for s3:// with credentials, as their owner pays; leave out request_payer, or "
                "anonymous. [request_payer=True]"
            )
        if self.versions == "all" and self._scheme != "s3":
            raise InvalidLocation(f"versions=all is for s3:// only; leave it out. [url={shown(self.url)}]")
        if self.credentials is not None and self._scheme != "s3":
            raise InvalidLocation(
                "credentials are for s3:// only; gs:// and az:// have secret and credentials_block. "
                f"[url={shown(self.url)}]"
            )
        check_access(self._scheme, self.secret, self.credentials_block, anonymous=self.anonymous)
        return self

    @classmethod
    def takes_saved(cls, url: str) -> Mapping[str, SavedBlocks]:
        """Return the fields that saved blocks fill: for gs:// and az:// others than for s3://."""
        scheme = url.partition("://")[0]
        if scheme == "s3":
            return {"credentials": SavedBlocks(CREDENTIALS_SLUGS)}
        return {"credentials_block": SavedBlocks((SLUGS[scheme],), by_name=True), "secret": SECRETS}

    def location(self) -> str:
        """Return the URL."""
        return self.url

    def place(self, item: Item | None = None) -> str:
        """Return the object's URL, or the source's."""
        return self.url if item is None else f"{self._scheme}://{self._bucket}/{item.id}"

    def items(self) -> Iterator[Listed]:
        """Yield the objects in the server's order, and the proof that these are all. Raise SourceError."""
        return self._backend().items(self._prefix)

    def relist(self, item: Item) -> Iterator[Item]:
        """Yield the object as it is now, by one HEAD request."""
        now = self._backend().head(item)
        if now is not None:
            yield replace(
                item,
                size=now.size,
                modified=now.modified,
                etag=now.etag,
                version=item.version if self.versions == "all" else None,
                failure=None,
                skipped=item.skipped if now.size == 0 and item.id.endswith("/") else None,
                expands=None,
            )

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an object of any size; a thread of its own receives up to 8 MiB ahead. Raise SourceError."""
        return self._backend().open(item)

    def open_range(self, item: Item, start: int, end: int) -> AbstractContextManager[Content]:
        """Open a part of an object (`prefect_collect.sources.ranges.RangedSource`). Raise SourceError."""
        return self._backend().open(item, (start, end))

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small objects whole, up to `concurrency` and 64 MiB at once."""
        return self._backend().read_many(items, concurrency)

    def most_workers(self) -> int | None:
        """Return 0 if AWS asks at the terminal for a code, which it takes once; else None: there is no limit."""
        from prefect_collect.connectors.s3.credentials import asks_for_codes

        return 0 if self._scheme == "s3" and not self.anonymous and asks_for_codes(self.credentials) else None

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the source's keys and a store in the same bucket have in common."""
        folder = folder_in_bucket(store, self._scheme, self._bucket, self._server)
        return None if folder is None else prefix_overlap(self._prefix, folder)

    def _server(self) -> str:
        """Return the server's address. Raise SourceError if finding it needs credentials that are missing."""
        return self._s3().endpoint if self._scheme == "s3" else server_of(self._access(), self.endpoint_url)

    def _access(self) -> Access:
        """Return the access to gs:// or az://; a saved credentials block is loaded once."""
        if self._loaded is None:
            self._loaded = access_from(self._scheme, self.secret, self.credentials_block, anonymous=self.anonymous)
        return self._loaded

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]

    @property
    def _bucket(self) -> str:
        return self._place[0]

    @property
    def _prefix(self) -> str:
        return self._place[1]

    @property
    def _place(self) -> tuple[str, str]:
        """The bucket and the prefix."""
        rest = self.url.partition("://")[2]
        if self._scheme == "s3":
            return split_bucket(rest)
        bucket, _, prefix = rest.partition("/")
        return bucket, prefix

    def _backend(self) -> _Backend:
        if self._scheme == "s3":
            return self._s3()
        from prefect_collect.connectors.object_store.opening import Access, connect

        return connect(
            Access(
                f"{self._scheme}://{self._bucket}",
                self._access(),
                self.endpoint_url,
                self.connect_timeout,
                self.read_timeout,
            )
        )

    def _s3(self) -> Connection:
        from prefect_collect.connectors.s3.connection import Access, connect

        return connect(
            Access(
                bucket=self._bucket,
                endpoint_url=self.endpoint_url,
                region=self.region,
                credentials=self.credentials,
                anonymous=self.anonymous,
                request_payer=self.request_payer,
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
                versions=self.versions == "all",
            )
        )


class _Backend(Protocol):
    """The methods that the connectors of buckets share."""

    def items(self, prefix: str) -> Iterator[Listed]: ...

    def head(self, item: Item) -> Content | None: ...

    def open(self, item: Item, within: tuple[int, int] | None = None) -> AbstractContextManager[Content]: ...

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]: ...
