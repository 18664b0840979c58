"""The contract of sources, for Google Cloud Storage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from prefect_collect.connectors.buckets import listing
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, ListingEnd
from prefect_collect.sources.listing import items_of
from prefect_collect.threads.retry_policy import RetryPolicy
from tests.integration.cloud_servers import GcsServer, gcs_server
from tests.integration.faults import FaultProxy
from tests.integration.servers import free_port
from tests.integration.sources.cloud_contract import OfBreakingClouds, OfClouds
from tests.integration.sources.clouds import Bucket, Google
from tests.integration.sources.dates import SENT, DatedPlace, DatesContract, RedatedPlace, http_date
from tests.integration.sources.places import Place

pytestmark = pytest.mark.integration


class TestGoogle(OfClouds):
    """A bucket of Google Cloud Storage keeps the contract."""

    @pytest.fixture
    def place(self, gcs: GcsServer) -> Place:
        """An empty bucket."""
        return Google(gcs)

    @pytest.fixture
    def roomy(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        """An empty bucket on disk."""
        root = tmp_path_factory.mktemp("gcs")
        with gcs_server(root, on_disk=True) as server:
            yield Google(server, root=root)


@pytest.fixture(scope="module")
def before_google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """A proxy that breaks, before a server that answers to the proxy's name alone."""
    port = free_port()
    with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        public = urlsplit(proxy.url).netloc
        with gcs_server(tmp_path_factory.mktemp("gcs"), public=public, port=port):
            yield proxy


class TestBreakingGoogle(OfBreakingClouds):
    """A bucket of Google Cloud Storage keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, before_google: FaultProxy) -> Place:
        """An empty bucket behind the proxy."""
        return Google(GcsServer(before_google.url), before_google)

    def test_a_listing_of_several_pages(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every page of a listing is asked for, each once; one that ends within a page is not complete.

        The server has no pages, so that the proxy makes them of its answer.
        """
        assert isinstance(place, Bucket)
        proxy = place.proxy
        assert proxy is not None
        monkeypatch.setattr(listing, "_RETRY", RetryPolicy(tries=2, wait_initial=0.001))
        for number in range(10):
            place.put(f"k{number}", b"x")
        monkeypatch.setattr(proxy, "rewrite", paged)
        proxy.clear()
        listed = [*place.source().items()]
        assert [item.id for item in listed if isinstance(item, Item)] == [f"k{number}" for number in range(10)]
        assert listed[-1] == ListingEnd("page 4 names no next page, and the KeyCount of every page agrees", items=10)
        assert proxy.count("GET", "list-type=2") == 4
        came: list[str] = []
        proxy.truncate_next(100, path="continuation-token=6")
        with pytest.raises(SourceError, match="no proven page of the listing") as caught:
            came.extend(item.id for item in items_of(place.source()))
        assert caught.value.code == "enumeration_failed"
        assert came == [f"k{number}" for number in range(6)]
        proxy.clear()
        short = lambda path, body: paged(path, body).replace(b"<KeyCount>3", b"<KeyCount>2")  # noqa: E731
        monkeypatch.setattr(proxy, "rewrite", short)
        with pytest.raises(SourceError, match="states 2 keys"):
            [*items_of(place.source())]


def paged(path: str, body: bytes) -> bytes:
    """Make a page of three objects of a listing, as Google's server does with a thousand."""
    if "list-type=2" not in path:
        return body
    objects = re.findall(rb"<Contents>.*?</Contents>", body)
    start = int(parse_qs(urlsplit(path).query).get("continuation-token", ["0"])[0])
    some, more = objects[start : start + 3], start + 3 < len(objects)
    head = re.sub(rb"<KeyCount>\d+", b"<KeyCount>%d" % len(some), body[: body.index(b"<Contents>")])
    token = b"<NextContinuationToken>%d</NextContinuationToken>" % (start + 3) if more else b""
    flag = b"<IsTruncated>%b</IsTruncated>" % (b"true" if more else b"false")
    return head + flag + token + b"".join(some) + b"</ListBucketResult>"


class DatedGoogle(RedatedPlace, Google):
    """A bucket behind a proxy that gives its objects their dates."""

    of = ("Contents", "Key", "LastModified")

    def odd_dates(self) -> Iterable[tuple[str | None, str | None, datetime | None]]:
        """Return dates of a listing in other forms, and none; Google's server sends a date in each header."""
        return [(listed, http_date(at or SENT), at) for listed, _, at in super().odd_dates()]


class TestGoogleDates(DatesContract):
    """A bucket of Google Cloud Storage keeps the contract of dates."""

    @pytest.fixture
    def dated(self, before_google: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> DatedPlace:
        """An empty bucket behind the proxy."""
        for name in ("rewrite", "restate"):
            monkeypatch.setattr(before_google, name, None)
        return DatedGoogle(GcsServer(before_google.url), before_google)
