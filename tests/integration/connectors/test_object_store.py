"""The connector of Google's and Azure's buckets: how requests are signed, what is read, and what errors mean."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import google.auth.jwt
import httpx
import pytest
from obstore.store import GCSStore

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.buckets import large
from prefect_collect.connectors.object_store._tokens import Tokens as ObstoreTokens
from prefect_collect.connectors.object_store.failures import obstore_error
from prefect_collect.connectors.object_store.opening import Access, connect
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.stores.azure_access import AzureAccess
from tests.integration.cloud_servers import Azurite, GcsServer, Tokens, tokens
from tests.integration.faults import FaultProxy
from tests.integration.sources.places import patterned, read
from tests.support.local_http import serving

pytestmark = pytest.mark.integration

_NUMBERS = count()
MIB = 1 << 20
PACKED = gzip.compress(b"text " * 1000)


def source_of(url: str, **more: Any) -> ObjectStoreSource:
    """Return a source with a connection that no other test has made."""
    return ObjectStoreSource.model_validate({"url": url, "read_timeout": 20 + next(_NUMBERS) / 1_000, **more})


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


class Authorized(ThreadingHTTPServer):
    """A bucket of both clouds, which keeps the Authorization of each request; and Azure's server of tokens.

    It lists nothing, and has one object, ``packed``, which it unpacks as Google does. Listings are compressed for who
    takes them so.

    Attributes:
        seen: The headers.
        given: How many tokens were given.
        are_refused: The credentials for tokens are refused.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.given, self.are_refused = 0, False
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Authorized

    def do_GET(self) -> None:
        self.server.seen.append(self.headers["Authorization"])
        if self.path.endswith("/packed"):
            self._answer(200, PACKED if "gzip" in self.headers["Accept-Encoding"] else gzip.decompress(PACKED))
        elif "comp=list" in self.path:
            self._answer(200, b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>")
        else:
            page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            self._answer(200, gzip.compress(page) if "gzip" in self.headers.get("Accept-Encoding", "") else page)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.are_refused:
            self._answer(401, b'{"error": "invalid_client"}')
            return
        self.server.given += 1
        self._answer(200, b'{"access_token": "tests", "token_type": "Bearer", "expires_in": 3600}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def google_tokens() -> Iterator[Tokens]:
    """A service account."""
    with tokens() as server:
        yield server


def test_a_service_account_of_google(google_tokens: Tokens) -> None:
    """Its token, which its own key signs, is that of every request."""
    with serving(server := Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url, secret=json.dumps(google_tokens.account))
        for _ in range(3):
            assert [*items_of(source)] == []
    [token] = {*server.seen}
    claims = google.auth.jwt.decode(str(token).removeprefix("Bearer "), certs=google_tokens.public)
    assert claims["iss"] == google_tokens.account["client_email"]


def test_a_service_principal_of_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment: its token is asked for once; what the server of tokens refuses is `bad_credentials`."""
    with serving(server := Authorized()) as url:
        named = {"ACCOUNT_NAME": "account", "TENANT_ID": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "hush-hush"}
        for name, text in named.items():
            monkeypatch.setenv(f"AZURE_STORAGE_{name}", text)
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)
        source = source_of("az://container", endpoint_url=url)
        for _ in range(3):
            assert [*items_of(source)] == []
        assert server.seen == ["Bearer tests"] * 3
        assert server.given == 1
        server.are_refused = True
        with pytest.raises(SourceError) as caught:
            [*items_of(source_of("az://container", endpoint_url=url))]
    assert caught.value.code == "bad_credentials"
    assert "hush" not in str(caught.value)
    assert len(server.seen) == 3


PRINCIPAL = AzureAccess("http://127.0.0.1:1/account", tenant_id="t", client_id="c", client_secret="hush-hush")


@pytest.mark.parametrize(
    "name", ["STORAGE_ACCOUNT_KEY", "STORAGE_ACCESS_KEY", "STORAGE_MASTER_KEY", "STORAGE_TOKEN", "FEDERATED_TOKEN_FILE"]
)
def test_credentials_beside_a_principal_of_azure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's are never used in place of a block's service principal; the variable to unset is named."""
    monkeypatch.setenv(f"AZURE_{name}", base64.b64encode(b"key").decode())
    with pytest.raises(SourceError, match=f"AZURE_{name} .* unset it") as caught:
        connect(Access("az://container", PRINCIPAL, None, 1, 1))
    assert caught.value.code == "bad_credentials"


@pytest.mark.parametrize("name", ["SKIP_SIGNATURE", "STORAGE_USE_EMULATOR", "STORAGE_SAS_KEY"])
def test_settings_beside_a_principal_of_azure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's service principal gets its token, whatever else the environment says."""
    monkeypatch.setenv(f"AZURE_{name}", "sv=1" if name.endswith("KEY") else "true")
    with serving(server := Authorized()) as url:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)
        bucket = connect(Access("az://container", PRINCIPAL, f"{url}/account", 5, 5))
        assert len([*bucket.items("")]) == 1
    assert server.seen == ["Bearer tests"]


def test_a_key_in_place_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature of one request is not sent with others."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"key").decode())
    with serving(server := Authorized()) as url:
        bucket = connect(Access("az://container", AzureAccess(f"{url}/account"), None, 5, 5))
        with pytest.raises(SourceError, match="unset AZURE_STORAGE_ACCOUNT_KEY") as caught:
            [*bucket.items("")]
    assert caught.value.code == "bad_credentials"
    assert server.seen == []


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


@pytest.mark.parametrize("no_proxy", [None, "*", "localhost"])
def test_a_proxy_for_this_machine(no_proxy: str | None, google_tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request with a token, which stays on this machine, is never sent to a proxy; the variable to set is named."""
    with FaultProxy("http://127.0.0.1:1") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        if no_proxy is not None:
            monkeypatch.setenv("NO_PROXY", no_proxy)
        secret = json.dumps(google_tokens.account)
        source = source_of("gs://bucket", endpoint_url="http://127.0.0.1:1", secret=secret)
        with pytest.raises(SourceError, match="have the variable no_proxy name"):
            list(items_of(source))
        assert proxy.requests == []


def test_no_other_program_gives_a_token() -> None:
    """Who else sends a request to the address at which a token is waited for gives none."""

    def make(server: str, headers: dict[str, str]) -> GCSStore:
        for guessed in ({}, {"x-prefect-collect": "guessed"}):
            with pytest.raises(httpx.HTTPError):  # nothing is answered while no token is asked for
                httpx.head(f"{server}/bucket/x", headers={"Authorization": "Bearer evil", **guessed}, timeout=0.2)
        return GCSStore(
            "bucket",
            base_url=server,
            skip_signature=True,
            client_options={"allow_http": True, "default_headers": headers},
        )

    asking = ObstoreTokens(make, lambda error: obstore_error(error, "gs://bucket"), "gs://bucket")
    assert asking.obtain() is None
