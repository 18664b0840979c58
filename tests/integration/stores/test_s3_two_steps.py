"""Composing an object on S3 of more ranges than it may have parts, on a real server whose limits are said to be low."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from prefect_collect.errors import CorruptSegment, KeyExists, StoreError
from prefect_collect.stores import CopyRange, Piece, S3Store
from prefect_collect.stores._parts import Limits
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server, moto
from tests.stores.patterned import patterned

pytestmark = pytest.mark.integration

LOW = Limits(smallest=1000, largest=100_000, parts=6, total=10**7, sent=4000, copied=2000)
"""Six parts of at most 100,000 bytes."""

SEGMENTS = 20
SIZE = 5000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run a server that takes parts of 1,000 bytes."""
    with moto(tmp_path_factory.mktemp("moto"), LOW.smallest) as running:
        yield running


@pytest.fixture
def proxy(server: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> FaultProxy:
    """Return a proxy in front of the server."""
    return fault_proxy(server)


@pytest.fixture
def store(server: S3Server, proxy: FaultProxy) -> S3Store:
    """Return a store with 20 segments, behind the proxy."""
    found = store_at(server.at(proxy.url), server.new_bucket())
    for number in range(SEGMENTS):
        found.create(f"seg/{number:02d}", patterned(SIZE, number))
    proxy.clear()
    return found


def store_at(server: S3Server, bucket: str) -> S3Store:
    """Return a store with the low limits."""
    store = S3Store(bucket, "p", endpoint_url=server.url, session=server.session())
    store.limits = LOW
    return store


def pieces() -> list[Piece]:
    """Return ranges of all segments, and new bytes before, between and after them."""
    ranges: list[Piece] = [CopyRange(f"seg/{number:02d}", number, SIZE - 1) for number in range(SEGMENTS)]
    return [b"<", *ranges[:9], b"=" * 50, *ranges[9:], b">" * 9000]


def whole() -> bytes:
    """Return the bytes that they make."""
    parts = [bytes(patterned(SIZE, number))[number : SIZE - 1] for number in range(SEGMENTS)]
    return b"".join([b"<", *parts[:9], b"=" * 50, *parts[9:], b">" * 9000])


def left(server: S3Server, store: S3Store) -> list[str]:
    """Return the keys in the bucket that are neither a segment nor the object, and those of unfinished uploads."""
    client = server.client()
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=store.bucket).get("Contents", [])]
    uploads = [upload["Key"] for upload in client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])]
    return [key for key in keys if not key.startswith(("p/seg/", "p/out")) and not key.endswith("/")] + uploads


def test_the_server_copies_in_two_steps(store: S3Store, proxy: FaultProxy, server: S3Server) -> None:
    """More segments than parts: the object is whole, the segments do not pass through here, and nothing is left."""
    blob = store.compose("out", pieces(), store)
    assert store.read("out") == whole()
    assert blob.size == len(whole())
    assert proxy.count("PUT", "partNumber=") > SEGMENTS
    assert proxy.bytes_up < 40_000  # the new bytes, and at most twice the smallest part of the ranges beside them
    assert left(server, store) == []
    with pytest.raises(KeyExists):
        store.compose("out", pieces(), store)
    assert sorted(blob.key for blob in store.list()) == ["out", *(f"seg/{n:02d}" for n in range(SEGMENTS))]


@pytest.mark.parametrize("at", [3, 17, 21])
def test_a_copy_that_fails(store: S3Store, proxy: FaultProxy, server: S3Server, at: int) -> None:
    """Whichever copy is refused, in the first step or the second: there is no object, and nothing is left.

    The object has no new bytes, so that each part is a copy, in whatever order they arrive.
    """
    ranges = [piece for piece in pieces() if isinstance(piece, CopyRange)]
    counted = iter(range(100))
    met = proxy.met

    def hit(method: str, path: str) -> object:
        if method == "PUT" and "partNumber=" in path and next(counted) == at:
            proxy.fail_next(1, status=412, code="PreconditionFailed", method="PUT", path="partNumber=")
        return met(method, path)

    proxy.met = hit  # type: ignore[assignment, method-assign]
    with pytest.raises(CorruptSegment):
        store.compose("out", ranges, store)
    assert left(server, store) == []
    assert not [blob.key for blob in store.list() if blob.key == "out"]


def test_what_a_killed_process_left_is_cleared_away(store: S3Store, proxy: FaultProxy, server: S3Server) -> None:
    """A process that is killed between the steps leaves objects; the next that composes the same key removes them."""
    proxy.hang_next(1, method="POST", path=r"/p/out\?uploadId")
    code = f"""
from tests.integration.servers import S3Server
from tests.integration.stores import test_s3_two_steps as t
server = S3Server("moto", {store.endpoint_url!r}, {server.access_key!r}, {server.secret_key!r})
store = t.store_at(server, {store.bucket!r})
store.compose("out", t.pieces(), store)
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ})
    while not proxy.hits:
        assert process.poll() is None
        proxy.released.wait(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left(server, store)
    proxy.release()
    store.compose("out", pieces(), store)
    assert store.read("out") == whole()
    assert left(server, store) == []


def test_more_than_two_steps_can_hold(store: S3Store) -> None:
    """An object of too many bytes for its parts is refused."""
    store.limits = Limits(smallest=1000, largest=6000, parts=6, total=10**7, sent=4000, copied=2000)
    with pytest.raises(StoreError, match="at most 6 parts"):
        store.compose("out", pieces(), store)
