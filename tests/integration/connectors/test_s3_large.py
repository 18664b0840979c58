"""Large objects of S3: read by one request, and as ranges where it breaks off or is slow."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.codes import CANCELED
from prefect_collect.connectors.buckets import large
from prefect_collect.connectors.http import ranges
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.threads.byte_budget import RANGES
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import Stop, stopped_by
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.hostile import HostileStore, Reply
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration

MIB = 1 << 20
BODY = os.urandom(MIB) * 7 + b"end"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Objects of 2 MiB are large, and ranges have 1 MiB; afterwards nothing is reserved, and no thread is left."""
    monkeypatch.setattr(large, "LARGE", MIB)
    monkeypatch.setattr(ranges, "_RANGE", MIB)
    monkeypatch.setattr(ranges, "_PAUSES", RetryPolicy(wait_initial=0.001))
    before = {*threading.enumerate()}
    yield
    assert RANGES.reserved == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "stream" and thread not in before]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges begin after the first piece for which the reader waited."""
    monkeypatch.setattr(large, "_LOOK", 0.0)
    monkeypatch.setattr(large, "_FAST", 1 << 60)
    monkeypatch.setattr(large, "_OVERLAP", MIB // 4)


@dataclass
class Place:
    """A bucket with one object, behind a proxy."""

    server: S3Server
    proxy: FaultProxy
    bucket: str

    def pieces(self) -> Iterator[bytes]:
        """Yield the object's bytes."""
        source = source_at(self.server.at(self.proxy.url), self.bucket)
        (item,) = items_of(source)
        self.proxy.requests.clear()
        with source.open(item) as content:
            assert content.size == len(BODY)
            yield from (bytes(chunk) for chunk in content.chunks)

    def put(self, data: bytes) -> None:
        """Put the object."""
        self.server.client().put_object(Bucket=self.bucket, Key="large", Body=data)

    def gets(self) -> int:
        """Return how often the object was asked for."""
        return self.proxy.count("GET", "large")


@pytest.fixture
def place(seaweedfs: S3Server) -> Iterator[Place]:
    """The object."""
    with FaultProxy(seaweedfs.url) as proxy:
        found = Place(seaweedfs, proxy, seaweedfs.new_bucket())
        found.put(BODY)
        yield found


def test_one_request_is_enough(place: Place) -> None:
    """An object that comes fast is asked for once."""
    assert b"".join(place.pieces()) == BODY
    assert place.gets() == 1


@pytest.mark.usefixtures("at_once")
def test_a_slow_object(place: Place) -> None:
    """If the reader waits, the rest comes as ranges: the same bytes, in their order."""
    assert b"".join(place.pieces()) == BODY
    assert place.gets() > 4


@pytest.mark.parametrize("fault", ["truncate", "drop", "fail"])
def test_a_break(place: Place, fault: str) -> None:
    """A request that breaks off is gone on with by ranges, and each of them that breaks off is asked for again."""
    place.proxy.truncate_next(keep=3 * MIB, path="large")
    if fault == "truncate":
        place.proxy.truncate_next(3, keep=1000, path="large")
    elif fault == "drop":
        place.proxy.drop_next(3, path="large")
    else:
        place.proxy.fail_next(3, path="large")
    assert b"".join(place.pieces()) == BODY
    assert place.proxy.hits == 4
    assert 8 <= place.gets() <= 10


def test_a_range_that_breaks_off_for_ever(place: Place) -> None:
    """A range that breaks off again and again ends the try at the item with the last error."""
    place.proxy.truncate_next(keep=3 * MIB, path="large")
    place.proxy.fail_next(1000, path="large")
    with pytest.raises(SourceError) as caught:
        list(place.pieces())
    assert (caught.value.code, caught.value.http_status) == ("throttled", 503)
    assert str(caught.value).endswith(f"[s3://{place.bucket}/large]")


@pytest.mark.parametrize("data", [BODY[::-1], BODY + b"more"])
def test_an_object_that_is_replaced_between_ranges(place: Place, data: bytes) -> None:
    """No range of another version is taken: the try fails as changed_during_read."""
    place.proxy.truncate_next(keep=3 * MIB, path="large")
    pieces = place.pieces()
    next(pieces)
    place.put(data)
    with pytest.raises(SourceError) as caught:
        list(pieces)
    assert caught.value.code == "changed_during_read"


def test_a_cancel_while_ranges_hang(place: Place) -> None:
    """A cancel ends the wait for ranges that do not come."""
    place.proxy.truncate_next(keep=3 * MIB, path="large")
    place.proxy.hang_next(1000, path="large")
    stop, ended = Stop(), threading.Event()

    def cancel() -> None:
        while place.proxy.hits < 2 and not ended.wait(0.01):
            pass
        stop.set(CANCELED)

    with stopped_by(stop):
        pieces = place.pieces()
        threading.Thread(target=cancel, daemon=True).start()
        with pytest.raises(SourceError, match="canceled"):
            list(pieces)
    ended.set()


@pytest.mark.usefixtures("at_once")
def test_a_reader_that_stops(place: Place) -> None:
    """A reader that stops amid the ranges leaves nothing."""
    pieces = place.pieces()
    for _ in range(4):
        next(pieces)
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_server_without_ranges(is_whole: bool) -> None:
    """A server that announces ranges and sends the whole object is asked for that once; a break is then one."""

    def answer(key: str, honest: Reply) -> Reply:
        cut: dict[str, Any] = {} if is_whole else {"body": BODY[: 3 * MIB], "length": len(BODY)}
        whole: dict[str, Any] = {"body": honest.body, "headers": {**honest.headers, "Accept-Ranges": "bytes"}}
        return Reply(**whole | cut)

    with HostileStore({"large": BODY}) as store:
        store.getting = answer
        source = ObjectStoreSource(url="s3://bucket/", endpoint_url=store.url, anonymous=True)
        with source.open(Item("large", "large", len(BODY))) as content:
            if is_whole:
                assert b"".join(content.chunks) == BODY
                return
            with pytest.raises(SourceError) as caught:
                list(content.chunks)
    assert caught.value.code == "truncated"
