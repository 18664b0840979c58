"""The connector on obstore: errors and reading, with obstore's own stores and a real server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.object_store.bucket import Bucket
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content
from prefect_collect.sources.listing import items_of, without_end
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


@pytest.fixture(params=["memory", "directory"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """A bucket with three objects."""
    store = MemoryStore() if request.param == "memory" else LocalStore(tmp_path)
    for key in ("mail/2024/1", "mail/2024-old/2", "other"):
        obstore.put(store, key, key.encode())
    return Bucket(store, "gs://bucket")


def test_lists_by_prefix(bucket: Bucket) -> None:
    """A prefix matches keys by their text as on S3, not only whole folders."""
    assert sorted(item.path for item in without_end(bucket.items("mail/2024"), [])) == ["2024-old/2", "2024/1"]
    assert [item.path for item in without_end(bucket.items("mail/2024/"), [])] == ["1"]
    assert len(list(without_end(bucket.items(""), []))) == 3


def test_reads(bucket: Bucket) -> None:
    """Objects are read alone and with others, as listed."""
    items = list(without_end(bucket.items(""), []))
    for item, got in bucket.read_many(items, 2):
        assert isinstance(got, Content)
        assert b"".join(got.chunks) == item.id.encode()
        assert (got.size, got.etag, got.modified) == (item.size, item.etag, item.modified)
    with bucket.open(items[0]) as content:
        assert b"".join(content.chunks) == items[0].id.encode()
    with bucket.open(items[0], (2, 5)) as content:
        assert b"".join(content.chunks) == items[0].id.encode()[2:5]
        assert (content.size, content.etag, content.modified) == (items[0].size, items[0].etag, items[0].modified)
    now = bucket.head(items[0])
    assert now is not None
    assert now.size == items[0].size


def _over_s3(server: S3Server, bucket: str, secret: str) -> Bucket:
    store = S3Store(
        bucket,
        endpoint=server.url,
        access_key_id=server.access_key,
        secret_access_key=secret,
        region=server.region,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
    )
    return Bucket(store, f"az://{bucket}")


def test_errors_of_a_server(seaweedfs: S3Server) -> None:
    """A server's answers give the right codes through obstore, and messages do not contain obstore's own text."""
    name = seaweedfs.new_bucket()
    for bucket, code in (
        (_over_s3(seaweedfs, name, "hush-hush"), "bad_credentials"),
        (_over_s3(seaweedfs, "no-such-bucket", seaweedfs.secret_key), "not_found"),
        (_over_s3(seaweedfs.at("http://127.0.0.1:1"), name, "x"), "connection_lost"),
    ):
        with pytest.raises(SourceError) as caught:
            list(bucket.items(""))
        assert caught.value.code == code
        assert "Debug source" not in str(caught.value)
        assert "hush-hush" not in str(caught.value)


def test_no_azure_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account's name the error names the variable to set."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SourceError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        list(items_of(ObjectStoreSource(url="az://container/x")))
