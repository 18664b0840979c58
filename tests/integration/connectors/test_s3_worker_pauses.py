"""A bucket that worker processes read, and whose server asks one of them for a pause."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.collecting.worker import ShardWork
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import open_store
from tests.integration.connectors.s3_sources import fill, source_at
from tests.integration.connectors.told_pauses import Told
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.support.run_attempts import RETRY, check_account, new_job

pytestmark = pytest.mark.integration
KEYS = [f"{name}/{n}" for name in "ab" for n in range(4)]


def test_a_pause_of_one_worker_reaches_the_job_and_the_next_worker(
    moto: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SlowDown with a stated time, the job's process is told under the server's name that it uses itself.

    A worker that starts meanwhile asks for nothing until then, and no item loses a try.
    """
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 4)
    bucket, proxy, shared = fill(moto, KEYS), fault_proxy(moto), StopSignals()
    source = source_at(moto.at(proxy.url), bucket, name="bucket")
    proxy.fail_next(1, 503, "SlowDown", retry_after=2, path="/a/1")
    told = Told(f"{proxy.url}/{bucket}/")
    folder = new_job(open_store(tmp_path / "store"), source)
    policy = CollectionPolicy(concurrency=1, retry=RETRY)
    work = ShardWork(source.for_worker(2), folder, claim_attempt(folder), ShardPolicy("test", policy), 2)
    with WorkerProcesses(work, shared, print) as workers, ThreadPoolExecutor(2) as pool:

        def submit(shard: Shard) -> Future[Any]:
            if shard.part == 1:
                assert told.event.wait(60)
            return pool.submit(workers.collect, shard.part)

        result = run_attempt(
            folder, folder.record(), work.attempt, source, submit, policy, in_flight=2,
            stop=shared.stop, progress=shared.progress,
        )  # fmt: skip
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    early = [path for (_, path), at in zip(proxy.requests, proxy.times, strict=True) if at < told.until]
    assert sum("/a/1" in path for path in early) == 1
    assert not any("/b/" in path for path in early)
    assert proxy.hits == 1
    ledgers = [read_ledger(folder, work.attempt, part) for part in range(2)]
    assert [each.column("tries").to_pylist() for each in ledgers if each is not None] == [[1] * 4] * 2
    check_account(folder)
