"""Buckets of Google and Azure whose servers limit the requests: their pauses are kept, by all requests of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.errors import SourceError
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.cloud_servers import Azurite, GcsServer, gcs_server
from tests.integration.connectors.told_pauses import Told
from tests.integration.faults import FaultProxy
from tests.integration.servers import free_port
from tests.integration.sources.places import collected, read

pytestmark = pytest.mark.integration

KEYS = ("a", "b", "c")
Placed = tuple[FaultProxy, ObjectStoreSource]


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placed]:
    """A bucket of three objects behind a proxy, to whose name alone the server answers."""
    port = free_port()
    with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        public = urlsplit(proxy.url).netloc
        with gcs_server(tmp_path_factory.mktemp("gcs"), public=public, port=port):
            server = GcsServer(proxy.url)
            name = server.new_bucket()
            http = HTTPConnection(public)
            for key in KEYS:
                http.request("POST", f"/upload/storage/v1/b/{name}/o?uploadType=media&name={quote(key)}", key)
                http.getresponse().read()
            yield proxy, ObjectStoreSource(url=f"gs://{name}", endpoint_url=proxy.url, anonymous=True)


@pytest.fixture(scope="module")
def microsoft(azure: Azurite) -> Iterator[Placed]:
    """A container of three blobs behind a proxy."""
    with FaultProxy(azure.url) as proxy:
        name = azure.new_container()
        for key in KEYS:
            azure.service.get_container_client(name).upload_blob(key, key)
        secret = azure.at(proxy.url).connection_string
        yield proxy, ObjectStoreSource.model_validate({"url": f"az://{name}", "secret": secret})


@pytest.fixture(params=["google", "microsoft"])
def placed(request: pytest.FixtureRequest) -> Iterator[Placed]:
    """A bucket of each cloud, whose proxy causes no fault."""
    proxy, source = request.getfixturevalue(request.param)
    proxy.clear()
    yield proxy, source
    proxy.clear()


def server_of(source: ObjectStoreSource, proxy: FaultProxy) -> str:
    """Return the name under which the processes of a job share the pauses of a source's server."""
    account = "" if source.url.startswith("gs:") else "/collecttests"
    return f"{proxy.url}{account}/{source.url.partition('://')[2]}"


def some(source: ObjectStoreSource) -> list[Item]:
    """Return the items."""
    return sorted(items_of(source), key=lambda item: item.id)


ASKED: dict[str, tuple[str, Callable[[ObjectStoreSource, Item], object]]] = {
    "the listing": ("list", lambda source, item: some(source)),
    "an object read alone": ("/a", read),
    "objects read with others": ("/a", lambda source, item: [*source.read_many([item], 1)]),
    "what is said of an object": ("/a", lambda source, item: [*source.relist(item)]),
}


@pytest.mark.parametrize(("what", "status"), [*zip(ASKED, (429, 503, 429, 503), strict=True)])
def test_a_pause_is_kept_by_all_requests(placed: Placed, what: str, status: int) -> None:
    """Until the time that the server states, whatever it answered, no request of the source comes; then all go on."""
    proxy, source = placed
    first = some(source)[0]
    told = Told(server_of(source, proxy))
    path, ask = ASKED[what]
    proxy.clear()
    proxy.fail_next(1, status, "ServerBusy", retry_after=1, path=path)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, source, first)
        assert told.event.wait(60)
        refused = proxy.times[0]
        assert [item.id for item in some(source)] == [*KEYS]
        for item, got in source.read_many(some(source), 3):
            assert isinstance(got, Content), got
            assert b"".join(map(bytes, got.chunks)) == item.id.encode()
        asked.result(60)
    assert told.until >= refused + 1
    assert len(proxy.times) > 4
    assert all(at >= told.until for at in proxy.times[1:])


def test_no_try_is_lost(placed: Placed, tmp_path: Path) -> None:
    """A job under pauses collects everything at the first try of each item."""
    proxy, source = placed
    proxy.fail_next(4, 429, "TooManyRequests", retry_after=0, path=r"/[abc](\?|$)")
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert proxy.hits == 4
    [ledger] = [each for part in range(3) if (each := read_ledger(folder, 1, part)) is not None]
    assert ledger.column("tries").to_pylist() == [1] * 3


def test_a_pause_that_is_too_long(placed: Placed) -> None:
    """It is not waited for, and the item is `throttled`, as it is by an answer without a pause that may last."""
    proxy, source = placed
    items = some(source)
    for status, pause in ((503, None), (503, 601)):
        proxy.fail_next(1, status, "ServerBusy", retry_after=pause, path="/a")
        [(_, got)] = source.read_many(items[:1], 1)
        assert isinstance(got, SourceError)
        assert (got.code, got.http_status) == ("throttled", 503)
