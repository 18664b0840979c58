"""Object stores whose listings turn in circles, and whose answers have no end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.connectors.buckets import listing, progress
from prefect_collect.errors import StoreError
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import _s3_pages
from prefect_collect.threads.stop import Stop
from tests.integration.hostile import HostileStore, Reply
from tests.integration.jobs.hostile_buckets import collected, message, source_of, staging_store
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, job_rows, new_job

pytestmark = pytest.mark.integration
LOOPS: dict[str, Callable[[HostileStore, int], Reply]] = {
    "the same token again": lambda bucket, asked: Reply(bucket.page_of([f"k{asked % 5}"], token="same")),
    "two tokens in turn": lambda bucket, asked: Reply(bucket.page_of([f"k{asked % 5}"], token=f"t{asked % 2}")),
    "the same page, new tokens": lambda bucket, asked: Reply(bucket.page_of(["k0", "k1"], token=f"t{asked}")),
    "pages in turn, new tokens": lambda bucket, asked: Reply(bucket.page_of([f"k{asked % 3}"], token=f"t{asked}")),
    "empty pages, new tokens": lambda bucket, asked: Reply(bucket.page_of([], token=f"t{asked}")),
}


@pytest.mark.parametrize("how", LOOPS)
def test_a_staging_store_that_turns_in_circles(bucket: HostileStore, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its listing is ended too: a job that lists its own files comes to an end."""
    monkeypatch.setattr(_s3_pages, "MOST_EMPTY_PAGES", 20)
    bucket.listing = lambda asked, query: LOOPS[how](bucket, asked)
    with pytest.raises(StoreError, match="no whole page"):
        list(staging_store(bucket).list())
    assert bucket.pages_asked < 40


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", LOOPS)
def test_a_listing_that_turns_in_circles(bucket: HostileStore, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is recognized and ended, whether tokens or pages repeat, or empty pages follow each other."""
    monkeypatch.setattr(progress, "MOST_EMPTY_PAGES", 20)
    bucket.listing = lambda asked, query: LOOPS[how](bucket, asked)
    source = source_of(bucket)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    assert result.status in (JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED)
    assert job_rows(folder) == ["enumeration_failed"]
    assert bucket.pages_asked < 40


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [200, 503])
def test_a_page_that_drips_for_ever(bucket: HostileStore, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page, or an error in its place, that is never silent and never ends is given up without a cancel."""
    monkeypatch.setattr(listing, "_MOST_SECONDS", 1.0)
    bucket.listing = lambda asked, query: Reply(b" ", status, forever=b" ", pause=0.01) if asked > 1 else None
    _, result = collected(bucket)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
    assert "not whole after 1 s" in message(result)


@pytest.mark.parametrize("where", ["listing", "item", "error of an item"])
def test_a_cancel_while_a_body_without_end_drips(bucket: HostileStore, where: str) -> None:
    """A job whose server sends a body byte by byte without end still ends when it is canceled."""
    dripping = threading.Event()

    def drip(status: int) -> Reply:
        dripping.set()
        return Reply(b" ", status, forever=b" ", pause=0.05)

    if where == "listing":
        bucket.listing = lambda asked, query: drip(200)
    else:
        bucket.objects["k2"] = b"x" * (2 << 20)
        bucket.getting = lambda key, honest: drip(500 if "error" in where else 200) if key == "k2" else honest
    stop = Stop()
    results: list[TaskResult] = []
    source = source_of(bucket)
    folder = new_job(MemoryStore(), source)
    job = threading.Thread(target=lambda: results.append(attempt(folder, source, stop=stop)), daemon=True)
    job.start()
    assert dripping.wait(60)
    stop.set(CANCELED)
    job.join(60)
    assert [result.status for result in results] == [JobStatus.CANCELED]


@pytest.mark.parametrize("size", [100, 2 << 20])
@pytest.mark.parametrize("status", [200, 500])
def test_an_item_without_end(bucket: HostileStore, size: int, status: int) -> None:
    """An item's body is cut at its announced size, an error's body after a while; the other items are collected."""
    bucket.objects = {"k0": b"good", "k1": b"x" * size, "k2": b"good"}
    bucket.getting = lambda key, honest: Reply(honest.body, status, forever=b"x" * 65536) if key == "k1" else honest
    source = source_of(bucket)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 2)
    (row,) = result.unsuccessful.to_arrow().to_pylist()
    assert row["item_id"] == "k1"
    assert row["error_code"] in ({"truncated", "changed_during_read"} if status == 200 else {"source_error"})
    assert row["http_status"] in ((None, 200) if status == 200 else (500,))
