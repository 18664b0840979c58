"""The connector of Google's and Azure's buckets: what is listed and read, and what errors mean."""

from __future__ import annotations

import base64
import sys

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.buckets import large
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from tests.integration.cloud_servers import Azurite, GcsServer
from tests.integration.connectors.object_stores import PACKED, Authorized, source_of
from tests.integration.faults import FaultProxy
from tests.integration.sources.places import patterned, read
from tests.support.local_http import serving

pytestmark = pytest.mark.integration
MIB = 1 << 20


def google_with(gcs: GcsServer, objects: dict[str, bytes]) -> ObjectStoreSource:
    """Return the source of a new bucket."""
    name = gcs.new_bucket()
    for key, data in objects.items():
        gcs.client.bucket(name).blob(key).upload_from_string(data)
    return source_of(f"gs://{name}", endpoint_url=gcs.url, anonymous=True)


def azure_with(azure: Azurite, objects: dict[str, bytes]) -> ObjectStoreSource:
    """Return the source of a new container, which is read by the account's key."""
    name = azure.new_container()
    for key, data in objects.items():
        azure.service.get_container_client(name).upload_blob(key, data)
    return source_of(f"az://{name}", secret=azure.connection_string)


OBJECTS = {key: key.encode() * 100 for key in ("mail/2024/1", "mail/2024-old/2", "other", "a b/ü%2F+&=?#", "q/~'()*!")}


@pytest.mark.parametrize("cloud", ["gs", "az"])
def test_what_is_listed_is_read(cloud: str, gcs: GcsServer, azure: Azurite) -> None:
    """Objects are read alone, with others, in part and described, whatever their keys hold.

    Azurite checks the signatures.
    """
    source = google_with(gcs, OBJECTS) if cloud == "gs" else azure_with(azure, OBJECTS)
    items = {item.id: item for item in items_of(source)}
    assert items.keys() == OBJECTS.keys()
    for item, got in source.read_many(items.values(), 3):
        assert isinstance(got, Content), got
        assert b"".join(map(bytes, got.chunks)) == OBJECTS[item.id]
        assert (got.size, got.etag, got.modified) == (item.size, item.etag, item.modified)
    for key, item in items.items():
        assert read(source, item) == OBJECTS[key]
        with source.open_range(item, 2, 5) as content:
            assert b"".join(map(bytes, content.chunks)) == OBJECTS[key][2:5]
            assert (content.size, content.etag, content.modified) == (item.size, item.etag, item.modified)
        [now] = source.relist(item)
        assert isinstance(now, Item)
        assert (now.size, now.etag, now.modified) == (item.size, item.etag, item.modified)
    assert [*source.relist(Item("gone", "gone"))] == []
    below = source.model_copy(update={"url": f"{source.url}/mail/2024"})
    assert {item.path for item in items_of(below)} == {"2024/1", "2024-old/2"}


def test_a_time_of_creation_that_is_not_listed(azure: Azurite) -> None:
    """An item of a retry, which no listing has described, has the time that the answer with its bytes states."""
    source = azure_with(azure, {"a": b"x"})
    [listed] = items_of(source)
    assert listed.created is not None
    [looked_up] = source.relist(Item("a", "a"))
    assert isinstance(looked_up, Item)
    for item in (looked_up, Item("a", "a", is_current=False)):
        [(_, got)] = source.read_many([item], 1)
        assert isinstance(got, Content), got
        assert got.metadata == {"created": listed.created.isoformat()}
        with source.open(item) as content:
            assert content.metadata == got.metadata
    with source.open(listed) as content:
        assert content.metadata is None


def test_a_large_object_that_breaks_off(azure: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is asked for as ranges of the same version, whose requests are signed as such."""
    monkeypatch.setattr(large, "LARGE", MIB)
    data = patterned(6 * MIB)
    with FaultProxy(azure.url) as proxy:
        source = azure_with(azure.at(proxy.url), {"large": data})
        [item] = items_of(source)
        proxy.truncate_next(keep=3 * MIB, path="large")
        assert read(source, item) == data
        assert proxy.count("GET", "large") > 1


def test_ranges_of_a_large_object_that_are_refused(azure: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their answers are read as those of whole objects, by Azure's own codes."""
    monkeypatch.setattr(large, "LARGE", MIB)
    with FaultProxy(azure.url) as proxy:
        source = azure_with(azure.at(proxy.url), {"large": patterned(6 * MIB)})
        [item] = items_of(source)
        proxy.truncate_next(keep=3 * MIB, path="large")
        with source.open(item) as content:
            pieces = iter(content.chunks)
            assert next(pieces)
            proxy.fail_next(100, 403, "AuthenticationFailed", path="large")
            with pytest.raises(SourceError) as caught:
                list(pieces)
    assert (caught.value.code, caught.value.http_status) == ("bad_credentials", 403)


def test_an_object_that_is_kept_compressed() -> None:
    """Google's server unpacks it for those who do not take it as it is kept, and as it lists it.

    The listing itself is asked for as it is read.
    """
    with serving(Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url, anonymous=True)
        assert [*items_of(source)] == []
        item = Item("packed", "packed", len(PACKED))
        assert read(source, item) == PACKED
        [(_, got)] = source.read_many([item], 1)
    assert isinstance(got, Content)
    assert b"".join(map(bytes, got.chunks)) == PACKED


def test_errors_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's answers give the right codes, and no message has a secret."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        source = source_of("gs://bucket", endpoint_url=proxy.url, anonymous=True)
        for status, said, code in (
            (403, "SignatureDoesNotMatch", "bad_credentials"),
            (404, "NoSuchBucket", "not_found"),
            (400, "InvalidArgument", "unexpected_error"),
        ):
            proxy.fail_next(1, status, said)
            with pytest.raises(SourceError) as caught:
                list(items_of(source))
            assert caught.value.code == code
        secret = base64.b64encode(b"hush-hush").decode()
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", secret)
        proxy.fail_next(1, 403, "AuthenticationFailed")
        with pytest.raises(SourceError) as caught:
            list(items_of(source_of("az://container", endpoint_url=proxy.url)))
        assert caught.value.code == "bad_credentials"
        assert secret not in str(caught.value)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "no base64")
        with pytest.raises(SourceError, match="not one of Azure"):
            list(items_of(source_of("az://container", endpoint_url=proxy.url)))


def test_no_azure_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account's name the error names the variable to set."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SourceError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        list(items_of(source_of("az://container/x")))


@pytest.mark.parametrize("module", ["azure.identity", "google.auth.transport.requests"])
def test_a_library_that_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library that gives tokens is not installed, the extra that brings it is named."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    scheme, extra = ("az", "azure") if "azure" in module else ("gs", "gcp")
    with pytest.raises(SourceError, match=rf"prefect-collect\[{extra}\]") as caught:
        [*items_of(source_of(f"{scheme}://bucket", endpoint_url="http://127.0.0.1:1"))]
    assert caught.value.code == "bad_credentials"
