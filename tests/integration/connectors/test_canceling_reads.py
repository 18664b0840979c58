"""A cancel ends reads of a server that does not answer, or never ends its answer, without waiting for timeouts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.codes import CANCELED
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import Receipt, TaskResult
from prefect_collect.sources import SMALL_ITEM
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads import stop as stop_module
from prefect_collect.threads.stop import Stop
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.hostile import HostileStore, Reply
from tests.integration.servers import S3Server
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = pytest.mark.integration


def canceled_attempt(folder: JobFolder, source: ObjectStoreSource, asked: threading.Event) -> TaskResult:
    """Run an attempt that is canceled once its server is asked, and return its result, whose account is right."""
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(attempt, folder, source, stop=stop)
        assert asked.wait(60)
        stop.set(CANCELED)
        result = work.result(60)
    check_account(folder)
    return result


@pytest.mark.parametrize("size", [10, SMALL_ITEM + 1])
def test_a_server_that_does_not_answer(
    seaweedfs: S3Server,
    fault_proxy: Callable[[S3Server], FaultProxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """The requests end at once: no thread is left, and the items that hung are accounted for as cut off."""
    monkeypatch.setattr(stop_module, "GRACE", 3600.0)
    bucket = seaweedfs.new_bucket()
    client = seaweedfs.client()
    for name in ("a", "b", "hangs"):
        client.put_object(Bucket=bucket, Key=name, Body=bytes(size))
    proxy = fault_proxy(seaweedfs)
    before, asked = {*threading.enumerate()}, proxy.hang_next(100, method="GET", path="/hangs")
    source: ObjectStoreSource = source_at(seaweedfs.at(proxy.url), bucket, read_timeout=3600)
    folder = new_job(DirectoryStore(tmp_path), source)
    result = canceled_attempt(folder, source, asked)
    assert result.status is JobStatus.CANCELED
    receipt = result.receipt
    assert receipt is not None
    assert receipt.kept + receipt.cut_off == 3, result
    assert receipt.cut_off >= 1
    assert receipt == Receipt(receipt.kept, receipt.cut_off, 0, receipt.kept * size)
    left = {*threading.enumerate()} - before
    assert not [thread for thread in left if thread.name in ("shard", "stream", "listing")]
    proxy.clear()
    proxy.release()
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 3)


PAUSE = 0.2
"""Seconds between two bytes: too short for the connection to be given up as silent."""


@pytest.mark.parametrize(("what", "size"), [("small", 1000), ("large", 3 << 20), ("page", 0)])
def test_a_server_that_sends_byte_by_byte(tmp_path: Path, what: str, size: int) -> None:
    """A cancel ends the job though the body never ends: of a small object, received among others, of a large object,
    or of a page of the listing.
    """
    asked = threading.Event()

    def drip(key: str, honest: Reply) -> Reply:
        asked.set()
        return replace(honest, body=b"", forever=b"x", pause=PAUSE)

    def endless_page(number: int, query: dict[str, str]) -> Reply:
        asked.set()
        return Reply(b"<?xml version='1.0'?>", forever=b" ", pause=PAUSE)

    with HostileStore({what: b"x" * size}) as store:
        if what == "page":
            store.listing = endless_page
        else:
            store.getting = drip
        source = ObjectStoreSource(url="s3://bucket", endpoint_url=store.url, anonymous=True)
        result = canceled_attempt(new_job(DirectoryStore(tmp_path), source), source, asked)
    assert (result.status, result.counts.succeeded) == (JobStatus.CANCELED, 0)
