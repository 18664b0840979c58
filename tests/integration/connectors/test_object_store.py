"""The connector on obstore: errors and reading, with obstore's own stores and a server's answers."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.object_store._relay import Relay
from prefect_collect.connectors.object_store.bucket import Bucket
from prefect_collect.connectors.s3.page import Entry, Page
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content
from prefect_collect.sources.listing import items_of, without_end
from tests.integration.faults import FaultProxy

pytestmark = pytest.mark.integration


@pytest.fixture(params=["memory", "directory"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """A bucket with three objects."""
    store = MemoryStore() if request.param == "memory" else LocalStore(tmp_path)
    for key in ("mail/2024/1", "mail/2024-old/2", "other"):
        obstore.put(store, key, key.encode())

    def pages(folder: str) -> Iterator[Page]:
        listed = [meta for some in obstore.list(store, folder or None) for meta in some]
        for meta in listed:  # one on a page, so that there are several
            token = None if meta is listed[-1] else meta["path"]
            times = str(meta["last_modified"])
            etag = (meta["e_tag"] or "").strip('"')
            yield Page([Entry(meta["path"].encode(), meta["size"], etag, times)], token, None)

    return Bucket(store, "gs://bucket", pages)


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


def test_errors_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's answers give the right codes through obstore, and messages do not contain obstore's own text."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        source = ObjectStoreSource(url="gs://bucket", endpoint_url=proxy.url, anonymous=True)
        for status, said, code in (
            (403, "SignatureDoesNotMatch", "bad_credentials"),
            (404, "NoSuchBucket", "not_found"),
            (400, "InvalidArgument", "unexpected_error"),
        ):
            proxy.fail_next(1, status, said)
            with pytest.raises(SourceError) as caught:
                list(items_of(source))
            assert caught.value.code == code
            assert "Debug source" not in str(caught.value)
        secret = base64.b64encode(b"hush-hush").decode()
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", secret)
        proxy.fail_next(1, 403, "AuthenticationFailed")
        with pytest.raises(SourceError) as caught:
            list(items_of(ObjectStoreSource(url="az://container", endpoint_url=proxy.url)))
        assert caught.value.code == "bad_credentials"
        assert secret not in str(caught.value)


def test_no_azure_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account's name the error names the variable to set."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SourceError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        list(items_of(ObjectStoreSource(url="az://container/x")))


@pytest.mark.parametrize("no_proxy", [None, "*", "localhost"])
def test_a_proxy_for_this_machine(no_proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of a listing, which go through this machine, are never sent to a proxy; the variable to set is named."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        if no_proxy is not None:
            monkeypatch.setenv("NO_PROXY", no_proxy)
        source = ObjectStoreSource(url="gs://bucket", endpoint_url="http://127.0.0.1:1", anonymous=True)
        with pytest.raises(SourceError, match="have the variable no_proxy name"):
            list(items_of(source))
        assert proxy.requests == []


def test_a_listing_answers_no_other_program() -> None:
    """Who else asks at the address of this machine through which a listing goes is refused; nothing is sent on."""
    with FaultProxy("http://127.0.0.1:1") as server:
        limits = Limits(5, 5, None)
        with Relay(server.url, "gs://bucket/", limits, 5, read=lambda body: pytest.fail("a page was read")) as relay:
            for headers in ({}, {"x-prefect-collect-relay": "guessed"}):
                assert httpx.get(f"{relay.url}/bucket?list-type=2", headers=headers).status_code == 403
            assert relay.pages == deque()
        assert server.requests == []
