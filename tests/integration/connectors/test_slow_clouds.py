"""Google's and Azure's stores if bytes arrive slowly, stop, or are more or fewer than listed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.connectors.buckets import listing
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.threads.retry_policy import RetryPolicy
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = pytest.mark.integration

READ_TIMEOUT = 0.7
DATA = b"0123456789" * 1000
_DATE = "Tue, 02 Jan 2024 03:04:05 GMT"


class SlowCloud(ThreadingHTTPServer):
    """Speaks as much of Google's XML API, or of Azure's, as a source needs; holds two objects, "a" and "b".

    The bodies of `slow` requests (those whose path or query holds that text) take `seconds`, in eight pieces; those of
    `silent` ones stop after the half, those of `dead` ones are never begun, until `released`. `announced`, if given, is
    the length that an object is said to have when it is read, and `sent` how many bytes of it come (None: without end)
    before the connection is closed.
    """

    daemon_threads = True

    def __init__(self, scheme: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = scheme
        self.slow = self.silent = self.dead = ""
        self.seconds = 3 * READ_TIMEOUT
        self.size = len(DATA)
        self.announced: int | None = None
        self.sent: int | None = len(DATA)
        self.passed = 0
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def listing(self) -> bytes:
        """Return the only page of the listing."""
        keys = ("a", "b")
        if self.scheme == "az":
            blobs = "".join(
                f"<Blob><Name>{key}</Name><Properties><Last-Modified>{_DATE}</Last-Modified><Etag>x</Etag>"
                f"<Content-Length>{self.size}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>"
                for key in keys
            )
            return f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode()
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2024-01-02T03:04:05Z</LastModified>"
            f"<ETag>x</ETag><Size>{self.size}</Size></Contents>"
            for key in keys
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        cloud: SlowCloud = self.server
        is_list = "list-type" in query or query.get("comp") == ["list"]
        what = "list" if is_list else unquote(asked.path).rpartition("/")[2]
        body = cloud.listing() if is_list else DATA
        if cloud.dead == what:
            cloud.released.wait(30)
            return
        is_other = not is_list and cloud.announced is not None
        length = cloud.announced if is_other else len(body)
        self.send_response(200)
        for name, value in {
            "Content-Length": str(length), "Last-Modified": _DATE, "ETag": '"x"', "x-goog-generation": "1",
            "Content-Type": "application/xml" if is_list else "application/octet-stream",
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if is_other:
            self._send_other(cloud)
            return
        if cloud.silent == what:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            cloud.released.wait(30)
            return
        step = max(1, len(body) // 8)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            if cloud.slow == what:
                time.sleep(cloud.seconds / 8)  # what the server is for: bytes that flow slowly

    def _send_other(self, cloud: SlowCloud) -> None:
        piece, left = b"x" * (1 << 16), cloud.sent
        while (left is None or left > 0) and not cloud.released.is_set():
            sent = self.wfile.write(piece if left is None else piece[:left])
            cloud.passed += sent
            left = None if left is None else left - sent
        self.close_connection = True

    do_GET = do_HEAD = _handle  # noqa: N815

    def handle_one_request(self) -> None:
        """Ignore clients that hang up."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_RETRY", RetryPolicy(tries=1))


@pytest.fixture
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCloud]:
    """A server of each kind of cloud."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    server = SlowCloud(request.param)
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def source_at(cloud: SlowCloud) -> ObjectStoreSource:
    """Return the source at that server."""
    return ObjectStoreSource(
        url=f"{cloud.scheme}://container",
        endpoint_url=f"http://127.0.0.1:{cloud.server_address[1]}",
        anonymous=True,
        read_timeout=READ_TIMEOUT,
    )


def opened(source: ObjectStoreSource, item: Item) -> str:
    """Return the SHA-256 of an item, read alone."""
    with source.open(item) as content:
        return hashlib.sha256(b"".join(bytes(chunk) for chunk in content.chunks)).hexdigest()


def together(source: ObjectStoreSource, item: Item) -> str:
    """Return the SHA-256 of an item, read with others."""
    ((_, got),) = source.read_many([item], 2)
    if not isinstance(got, Content):
        raise got
    return hashlib.sha256(b"".join(bytes(chunk) for chunk in got.chunks)).hexdigest()


@pytest.mark.parametrize(("cloud", "read"), [("gs", opened), ("az", together)], indirect=["cloud"])
def test_bytes_that_flow(cloud: SlowCloud, read: Callable[[ObjectStoreSource, Item], str]) -> None:
    """An object that arrives slowly, in three times the read timeout, is read completely."""
    cloud.slow = "b"
    source = source_at(cloud)
    items = list(items_of(source))
    assert [item.id for item in items] == ["a", "b"]
    assert read(source, items[1]) == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("cloud", ["az"], indirect=True)
def test_a_page_that_flows(cloud: SlowCloud) -> None:
    """A page of the listing that arrives slowly is read completely."""
    cloud.slow = "list"
    assert [item.id for item in items_of(source_at(cloud))] == ["a", "b"]


@pytest.mark.parametrize("cloud", ["gs", "az"], indirect=True)
def test_a_page_that_drips(cloud: SlowCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that neither falls silent nor ends fails in the end."""
    monkeypatch.setattr(listing, "_MOST_SECONDS", 0.5)
    cloud.slow = "list"
    with pytest.raises(SourceError) as caught:
        list(source_at(cloud).items())
    assert caught.value.code == "enumeration_failed"


@pytest.mark.parametrize(
    ("cloud", "silence", "read"),
    [("gs", "silent", together), ("az", "dead", opened)],
    indirect=["cloud"],
)
def test_an_object_that_falls_silent(
    cloud: SlowCloud, silence: str, read: Callable[[ObjectStoreSource, Item], str]
) -> None:
    """An object of a silent server fails as `timeout` or `connection_lost`, although the connection stays open."""
    setattr(cloud, silence, "b")
    with pytest.raises(SourceError) as caught:
        read(source_at(cloud), Item("b", "b", len(DATA)))
    assert caught.value.code in ("timeout", "connection_lost")
    assert not cloud.released.is_set()


@pytest.mark.parametrize(("cloud", "silence"), [("gs", "dead")], indirect=["cloud"])
def test_a_page_that_falls_silent(cloud: SlowCloud, silence: str) -> None:
    """A page of the listing of a silent server fails in the same way."""
    setattr(cloud, silence, "list")
    with pytest.raises(SourceError) as caught:
        list(source_at(cloud).items())
    assert caught.value.code in ("timeout", "connection_lost")


def outcome(source: ObjectStoreSource) -> list[str]:
    """Return the error codes of all objects of a job; "" for a collected one."""
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    rows = result.unsuccessful.to_arrow().to_pylist()
    assert result.counts.found == 2
    return sorted(row["error_code"] for row in rows)


@pytest.mark.parametrize("cloud", ["gs", "az"], indirect=True)
@pytest.mark.parametrize("size", [len(DATA), 3 << 20])
def test_a_body_of_another_length(cloud: SlowCloud, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """An object that is longer or shorter than listed fails, small or large; an endless one is not read to its end."""
    monkeypatch.setattr(cloud, "size", size)
    source = source_at(cloud)
    for announced, sent in ((size + 1, size + 1), (size - 1, size - 1), (1 << 50, None)):
        cloud.announced, cloud.sent = announced, sent
        assert outcome(source) == ["changed_during_read"] * 2
    assert cloud.passed < 64 << 20
    cloud.announced, cloud.sent = size, size // 2
    assert outcome(source) == ["truncated"] * 2
    cloud.sent = size
    assert outcome(source) == []
