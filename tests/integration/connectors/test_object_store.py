"""The connector of Google's and Azure's buckets: how requests are signed, what is read, and what errors mean."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from google.auth.exceptions import RefreshError, TransportError

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.codes import CANCELED
from prefect_collect.connectors.buckets import large
from prefect_collect.connectors.object_store import signing
from prefect_collect.connectors.object_store._tokens import azure_error, google_error
from prefect_collect.connectors.object_store.opening import Access, connect
from prefect_collect.connectors.object_store.signing import Bearer
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by
from tests.integration.certificates import self_signed
from tests.integration.cloud_servers import Azurite, GcsServer, Tokens, tokens
from tests.integration.faults import FaultProxy
from tests.integration.sources.places import listed_before, patterned, read
from tests.support.local_http import serving
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job

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
    """A bucket of both clouds, which keeps the Authorization of each request; and Azure's servers of tokens.

    It lists nothing, and has one object, ``packed``, which it unpacks as Google does. Listings are compressed for who
    takes them so. The token is called after what is given for it.

    Attributes:
        seen: The headers.
        given: How many tokens were given.
        asked: What was sent for each.
        are_refused: The credentials for tokens are refused.
        hangs: A request for a token is not answered until it is `released`; `is_asked` tells of the first.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.asked: list[dict[str, list[str]]] = []
        self.given, self.are_refused, self.hangs = 0, False, False
        self.is_asked, self.released = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that was closed."""


class _Handler(BaseHTTPRequestHandler):
    server: Authorized

    def do_GET(self) -> None:
        if self.path.startswith("/identity?"):
            self._give("managed", {})
            return
        if self.path.endswith("/openid-configuration"):
            url = f"https://127.0.0.1:{self.server.server_port}/adfs/oauth2"
            self._answer(200, json.dumps({f"{n}_endpoint": f"{url}/{n}" for n in ("authorization", "token")}).encode())
            return
        self.server.seen.append(self.headers["Authorization"])
        if self.path.endswith("/packed"):
            self._answer(200, PACKED if "gzip" in self.headers["Accept-Encoding"] else gzip.decompress(PACKED))
        elif "comp=list" in self.path:
            self._answer(200, b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>")
        else:
            page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            self._answer(200, gzip.compress(page) if "gzip" in self.headers.get("Accept-Encoding", "") else page)

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._give("secret" if "client_secret" in sent else "workload", sent)

    def _give(self, name: str, sent: dict[str, list[str]]) -> None:
        if self.server.hangs:
            self.server.is_asked.set()
            self.server.released.wait()
        if self.server.are_refused:
            self._answer(401, b'{"error": "invalid_client", "error_description": "invalid_client"}')
            return
        self.server.asked.append(sent)
        self.server.given += 1
        token = {
            "access_token": name,
            "token_type": "Bearer",
            "expires_in": 3600,
            "expires_on": int(time.time()) + 3600,
        }
        self._answer(200, json.dumps(token).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


_OF_AZURE = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
    "AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip
"""The variables by which azure-identity finds an identity."""


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authorized]:
    """A pod with a workload identity, as AKS makes its environment, and the server of tokens, which speaks TLS."""
    for name in _OF_AZURE:
        monkeypatch.delenv(name, raising=False)
    certificate = self_signed(tmp_path, "127.0.0.1")
    server = Authorized()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "token").write_text("of-the-pod")
    with serving(server):
        for name, text in {
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{server.server_port}/",
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
            "AZURE_TENANT_ID": "t",
            "AZURE_CLIENT_ID": "c",
            "SSL_CERT_FILE": str(certificate),
        }.items():
            monkeypatch.setenv(name, text)
        yield server


@pytest.fixture(scope="module")
def google_tokens() -> Iterator[Tokens]:
    """A service account."""
    with tokens() as server:
        yield server


def test_a_service_account_of_google(google_tokens: Tokens) -> None:
    """Its token is that of every request, and is asked for once, by what the account's own key signs."""
    given = google_tokens.given
    with serving(server := Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url, secret=json.dumps(google_tokens.account))
        for _ in range(3):
            assert [*items_of(source)] == []
    assert server.seen == ["Bearer tests"] * 3
    assert google_tokens.given == given + 1


def test_the_default_credentials_of_google(
    google_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a secret, those are used that Google's own tools find; what its server refuses is `bad_credentials`."""
    (tmp_path / "key.json").write_text(json.dumps(google_tokens.account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    given = google_tokens.given
    with serving(server := Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url)
        for _ in range(2):
            assert [*items_of(source)] == []
        assert server.seen == ["Bearer tests"] * 2
        assert google_tokens.given == given + 1
        monkeypatch.setattr(google_tokens, "are_refused", True)
        with pytest.raises(SourceError, match="account not found") as caught:
            [*items_of(source_of("gs://bucket", endpoint_url=url))]
        assert caught.value.code == "bad_credentials"
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
        with pytest.raises(SourceError, match="GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud") as caught:
            [*items_of(source_of("gs://bucket", endpoint_url=url))]
        assert caught.value.code == "bad_credentials"
    assert len(server.seen) == 2


@pytest.fixture
def managed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Authorized, str]]:
    """An account of Azure as its environment names it, and the managed identity of a service that runs there."""
    for name in _OF_AZURE:
        monkeypatch.delenv(name, raising=False)
    with serving(server := Authorized()) as url:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "hush-hush")
        yield server, url


def test_a_managed_identity_of_azure(managed: tuple[Authorized, str]) -> None:
    """Its token is asked for once; what the server of tokens refuses is `bad_credentials`, and no secret is told."""
    server, url = managed
    source = source_of("az://container", endpoint_url=url)
    for _ in range(3):
        assert [*items_of(source)] == []
    assert server.seen == ["Bearer managed"] * 3
    assert server.given == 1
    server.are_refused = True
    with pytest.raises(SourceError) as caught:
        [*items_of(source_of("az://container", endpoint_url=url))]
    assert caught.value.code == "bad_credentials"
    assert "hush" not in str(caught.value)
    assert len(server.seen) == 3


def test_a_workload_identity_of_azure(kubernetes: Authorized, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster of Kubernetes, the token of the pod is that of its requests, and is read anew."""
    with serving(server := Authorized()) as url:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        assert [*items_of(source_of("az://container", endpoint_url=url))] == []
    assert server.seen == ["Bearer workload"]
    assert kubernetes.asked[-1]["client_assertion"] == ["of-the-pod"]


def principal(url: str) -> AzureAccess:
    """Return the access of a service principal: of a server of one's own, which Microsoft need not know."""
    return AzureAccess(f"{url}/account", tenant_id="adfs", client_id="c", client_secret="hush-hush")


@pytest.mark.parametrize(
    "name", [None, "STORAGE_ACCOUNT_KEY", "STORAGE_ACCESS_KEY", "STORAGE_SAS_TOKEN", "STORAGE_SAS_KEY", "CLIENT_SECRET"]
)
def test_a_principal_of_a_block(name: str | None, kubernetes: Authorized, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its own token, whatever else the environment has: the token of a pod's identity, and a key beside it."""
    if name is not None:
        monkeypatch.setenv(f"AZURE_{name}", base64.b64encode(b"key").decode())
    with serving(server := Authorized()) as url:
        bucket = connect(Access("az://container", principal(url), None, 5, 5))
        assert len([*bucket.items("")]) == 1
        assert server.seen == ["Bearer secret"]
        assert kubernetes.asked[-1]["client_secret"] == ["hush-hush"]
        if name is None:
            kubernetes.are_refused = True
            bucket = connect(Access("az://other", principal(url), None, 5, 5))
            with pytest.raises(SourceError, match="invalid_client") as caught:
                [*bucket.items("")]
            assert caught.value.code == "bad_credentials"
            assert "hush" not in str(caught.value)


@pytest.mark.parametrize("when", ["listing", "reading"])
def test_a_cancel_while_no_token_comes(
    when: str, managed: tuple[Authorized, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel ends a job whose server of tokens does not answer, while it lists or reads."""
    server, url = managed
    source, stop = source_of("az://container", endpoint_url=url), Stop()
    items = [Item(f"packed{number}", f"packed{number}", 9) for number in range(3)]
    monkeypatch.setattr(signing, "_FRESH", 0.0)
    server.hangs = when == "listing"
    listed = source if when == "listing" else listed_before(source, items, lambda: setattr(server, "hangs", True))
    job = new_job(MemoryStore(), source)
    threading.Thread(target=lambda: server.is_asked.wait(60) and stop.set(CANCELED)).start()
    try:
        assert attempt(job, listed, stop=stop).status is JobStatus.CANCELED
    finally:
        server.released.set()
    check_account(job)


def test_a_token_is_asked_for_once_and_not_waited_for_after_a_cancel() -> None:
    """Requests that need a token at once wait for the same one; one of a canceled job ends before it comes."""
    released, calls = threading.Event(), list[int]()

    def obtain() -> list[str]:
        calls.append(1)
        released.wait()
        return ["Authorization: Bearer late"]

    bearer, stop = Bearer(obtain, "az://container"), Stop()
    stop.set(CANCELED)
    with stopped_by(stop), pytest.raises(SourceError, match="canceled before a token came") as caught:
        bearer.signed("GET", "/", "", [])
    assert caught.value.code == "connection_lost"
    others = [in_background(bearer.signed, "GET", "/", "q", ["A: b"]) for _ in range(3)]
    released.set()
    assert [other.result() for other in others] == [("q", ["A: b", "Authorization: Bearer late"])] * 3
    assert len(calls) == 1


def test_errors_of_the_servers_of_tokens() -> None:
    """What may pass is tried again, and the rest is a matter of the credentials."""
    late, lost = requests.ReadTimeout("x"), requests.ConnectionError("x")
    for error, code in (
        (RefreshError(TransportError(lost)), "bad_credentials"),
        (caused(RefreshError("x"), TransportError(lost)), "connection_lost"),
        (TransportError(late), "timeout"),
        (RefreshError("x", retryable=True), "source_error"),
    ):
        assert google_error(error, "gs://bucket").code == code
    for error, code in (
        (ServiceResponseTimeoutError("x"), "timeout"),
        (ServiceRequestError("x"), "connection_lost"),
        (answered(429), "throttled"),
        (answered(500), "source_error"),
        (answered(401), "bad_credentials"),
        (ClientAuthenticationError("x"), "bad_credentials"),
    ):
        assert azure_error(error, "az://container").code == code


def caused(error: Exception, cause: Exception) -> Exception:
    """Return an error with its cause."""
    error.__cause__ = cause
    return error


def answered(status: int) -> HttpResponseError:
    """Return Azure's error of an answer with that status."""
    error = ClientAuthenticationError("x") if status == 401 else HttpResponseError("x")
    error.status_code = status
    return error


@pytest.mark.parametrize("module", ["azure.identity", "google.auth.transport.requests"])
def test_a_library_that_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library that gives tokens is not installed, the extra that brings it is named."""
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    scheme, extra = ("az", "azure") if "azure" in module else ("gs", "gcp")
    with pytest.raises(SourceError, match=rf"prefect-collect\[{extra}\]") as caught:
        [*items_of(source_of(f"{scheme}://bucket", endpoint_url="http://127.0.0.1:1"))]
    assert caught.value.code == "bad_credentials"


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
