"""Exports to an S3 server that does not answer: a cancel ends them at once, and late requests change nothing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.job_folder.result import Receipt
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, S3Store, Store
from prefect_collect.threads import abandoned
from prefect_collect.threads import stop as stop_module
from prefect_collect.threads.abandoned import OPEN, Fence, current_fence, fenced_by
from prefect_collect.threads.stop import Stop
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, check_account, export, new_job

pytestmark = pytest.mark.integration

_LARGE, _SMALL = 6 << 20, 1000
"""Three large items are a package of several parts, and each is enough for a part that the server copies."""
_COUNT = 3


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a short grace for a server that hangs."""
    monkeypatch.setattr(stop_module, "GRACE", 0.5)
    monkeypatch.setattr(abandoned, "SETTLING", 0.5)


def settled() -> None:
    """Wait until the abandoned calls have ended."""
    for thread in threading.enumerate():
        if thread.name in ("check_package", "build_package"):
            thread.join(60)
            assert not thread.is_alive()


class Place:
    """A bucket behind a proxy, and a collection to export there."""

    def __init__(self, server: S3Server, proxy: FaultProxy, size: int, local: Path | None) -> None:
        self.server, self.proxy, self.bucket = server, proxy, server.new_bucket()
        here: Store = self.store("staging", proxy.url) if local is None else DirectoryStore(local)
        source = MemorySource({f"{n}": Thing("good", bytes([n]) * size) for n in range(_COUNT)})
        self.collection = new_job(here, source)
        attempt(self.collection, source)
        self.destination = self.store("out", proxy.url)

    def store(self, prefix: str, url: str) -> S3Store:
        """Return a store in the bucket."""
        return S3Store(self.bucket, prefix, endpoint_url=url, session=self.server.session())

    def held(self) -> dict[str, str]:
        """Return the destination's objects and their ETags."""
        return {blob.key: blob.etag for blob in self.store("out", self.server.url).list()}

    def uploads(self) -> int:
        """Return the number of unfinished uploads."""
        return len(self.server.client().list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def hang(self, method: str, path: str) -> threading.Event:
        """Answer no matching request; signal when there is one."""
        return self.proxy.hang_next(1000, method=method, path=path)

    def canceled(self, asked: threading.Event, format: str, **how: Any) -> Any:
        """Cancel an export when a request hangs; return how it ended, while the request still hangs."""
        stop = Stop()
        with ThreadPoolExecutor(1) as pool:
            work: Future[Any] = pool.submit(export, self.collection, self.destination, format, stop=stop, **how)
            assert asked.wait(60)
            stop.set(CANCELED)
            job, result = work.result(60)
        assert not self.proxy.released.is_set()
        check_account(job)
        assert result.status is JobStatus.CANCELED
        assert (result.package, result.receipt) == (None, Receipt(0, _COUNT, 0, 0))
        assert "did not answer" in " ".join(result.warnings)
        return job

    def let_go(self) -> None:
        """Let the server answer from now on; what hung is lost, and is sent again if boto does so."""
        self.proxy.clear()
        self.proxy.release()
        settled()


@pytest.fixture
def placed(
    seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path
) -> Callable[[int, bool], Place]:
    """Return a function that makes a place, for items of that size, staged locally or on the same server."""
    return lambda size, local: Place(seaweedfs, fault_proxy(seaweedfs), size, tmp_path / "staging" if local else None)


@pytest.mark.parametrize(
    ("format", "size", "local", "method", "path"),
    [
        ("bagit", _LARGE, False, "PUT", r"test\.zip.*partNumber="),
        ("bagit", _LARGE, False, "POST", r"test\.zip\?uploads"),
        ("bagit", _LARGE, False, "POST", r"test\.zip\?uploadId="),
        ("bagit", _SMALL, True, "PUT", r"test\.zip"),
        ("directory", _SMALL, True, "PUT", r"out/test/data/2"),
        ("directory", _SMALL, False, "PUT", r"out/test/bagit\.txt"),
    ],
)
def test_a_request_that_hangs(
    placed: Callable[[int, bool], Place], format: str, size: int, local: bool, method: str, path: str
) -> None:
    """The export ends at once; boto's next try is not sent, and nothing more arrives at the destination."""
    place = placed(size, local)
    job = place.canceled(place.hang(method, path), format)
    before = place.held()
    assert not {"test.zip", "test/bagit.txt"} & before.keys()
    place.let_go()
    assert place.held() == before
    assert place.uploads() == 0
    _, result = export(place.collection, place.destination, format, job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify("test.zip" if format == "bagit" else "test", store=place.destination).valid


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_next_attempt_is_not_disturbed(placed: Callable[[int, bool], Place], method: str) -> None:
    """A hanging request is given up once a later attempt has delivered the package, which stays as it is.

    A POST is the removal of what an earlier attempt has left.
    """
    place = placed(_SMALL, True)
    job = place.canceled(place.hang("PUT", r"out/test/data/2"), "directory")
    if method == "POST":
        place.let_go()
        place.proxy.released.clear()
        job = place.canceled(place.hang("POST", r"\?delete"), "directory", job=job)
    again = place.store("out", place.server.url)
    _, result = export(place.collection, again, "directory", job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    before = place.held()
    place.let_go()
    assert place.held() == before
    assert verify("test", store=again).valid


def test_a_server_that_answers_nothing_any_more(placed: Callable[[int, bool], Place]) -> None:
    """Neither the export nor its clean-up waits for the server."""
    place = placed(_LARGE, True)
    place.canceled(place.hang("", f"{place.bucket}.*(uploadId|uploads)"), "bagit")
    place.let_go()
    assert place.held() == {}
    assert place.uploads() == 0


def test_the_threads_of_a_store(seaweedfs: S3Server) -> None:
    """No process waits for them; they do not depend on the first caller, and end with the store and its writers."""
    gc.freeze()  # what is there already need not be looked through each time
    bucket = seaweedfs.new_bucket()
    store = S3Store(bucket, endpoint_url=seaweedfs.url, session=seaweedfs.session())

    def threads() -> list[threading.Thread]:
        gc.collect()
        return [thread for thread in threading.enumerate() if thread.name.startswith(f"s3-{bucket}")]

    with fenced_by(Fence()):
        assert store._threads().submit(current_fence).result() is OPEN
    writer = store.writer("large")
    del store
    for _ in range(3):
        writer.write(bytes(_LARGE))
    assert all(thread.daemon for thread in threads())
    assert writer.commit().size == 3 * _LARGE
    assert threads()
    del writer
    deadline = time.monotonic() + 60
    while threads():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    gc.unfreeze()
