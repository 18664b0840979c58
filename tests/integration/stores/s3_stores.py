"""Stores in new buckets, and what is unfinished there."""

from __future__ import annotations

from prefect_collect.stores import S3Store
from tests.integration.servers import S3Server


def store_at(server: S3Server, bucket: str | None = None, *, single_writer: bool = False) -> S3Store:
    """Return a store in a new bucket."""
    name = bucket or server.new_bucket()
    return S3Store(name, "p", endpoint_url=server.url, session=server.session(), single_writer=single_writer)


def unfinished(server: S3Server, store: S3Store) -> list[str]:
    """Return the keys of unfinished multipart uploads."""
    return [upload["Key"] for upload in server.client().list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])]
