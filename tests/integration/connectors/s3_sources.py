"""Buckets with objects, and what a source reads of them."""

from __future__ import annotations

from collections.abc import Callable

from prefect_aws import MinIOCredentials
from pydantic import SecretStr

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server

Proxies = Callable[[S3Server], FaultProxy]


def source_at(server: S3Server, bucket: str, prefix: str = "", **fields: object) -> ObjectStoreSource:
    """Return a source with the server's keys."""
    keys = MinIOCredentials(minio_root_user=server.access_key, minio_root_password=SecretStr(server.secret_key))
    return ObjectStoreSource.model_validate(
        {
            "url": f"s3://{bucket}/{prefix}",
            "endpoint_url": server.url,
            "region": server.region,
            "credentials": keys,
            **fields,
        }
    )


def fill(server: S3Server, keys: list[str]) -> str:
    """Create a bucket with these keys, each with its own name as content; return the bucket."""
    bucket = server.new_bucket()
    client = server.client()
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def read(source: ObjectStoreSource, item: Item) -> bytes:
    """Return an item's bytes, read by `open`."""
    with source.open(item) as content:
        return b"".join(content.chunks)


def failing(source: ObjectStoreSource, item: Item) -> SourceError:
    """Return the error of an item, which must be the same whether it is read alone or with others."""
    ((same, got),) = source.read_many([item], 4)
    assert same is item
    assert isinstance(got, SourceError), got
    return got
