"""Shards in other processes, where they may run twice, be lost, and need a signal to stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

import pytest

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.collecting import enumeration, stop_signals
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.collecting.stop_signals import follow_stop, mark_stop
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Blob, Buffer
from prefect_collect.threads.stop import Stop
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import RETRY, attempt, check_account, held, new_job, unsuccessful

Run = Callable[[str], Counts]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use shards of three items, and no waiting."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)
    monkeypatch.setattr(stop_signals, "LOOK_EVERY", 0.01)


@pytest.fixture
def source() -> MemorySource:
    """Return a source of eight items."""
    return MemorySource({str(n): Thing("good", f"content {n}".encode()) for n in range(8)})


def on_cluster(store: MemoryStore, source: MemorySource, runs: Callable[[Shard, Run], Counts]) -> TaskResult:
    """Run an attempt whose shards are run by `runs`, which may run one several times, each under another name."""
    folder = new_job(store, source)
    number = claim_attempt(folder)
    policy = ShardPolicy("test", CollectionPolicy(concurrency=1, retry=RETRY))

    def submit(shard: Shard) -> Future[Counts]:
        future: Future[Counts] = Future()
        future.set_result(
            runs(shard, lambda name: collect_shard(source, folder, number, shard.part, replace(policy, run=name)))
        )
        return future

    return run_attempt(folder, folder.record(), number, source, submit, policy.collection)


@dataclass
class Overtaken(MemoryStore):
    """A store in which something happens just before the next shard is committed."""

    before_commit: Callable[[], object] | None = None

    def create(self, key: str, data: Buffer) -> Blob:
        """Create the blob after that."""
        if "/ledger/" in key and (happens := self.before_commit) is not None:
            self.before_commit = None
            happens()
        return super().create(key, data)


def dies_at(store: MemoryStore, operation: str, wanted: str) -> None:
    """Kill the process that is about to do this to a key with that end; the store lives on."""

    def fault(done: str, key: str) -> None:
        if done == operation and key.endswith(wanted):
            store.fault = None
            raise Killed

    store.fault = fault


@pytest.mark.parametrize(
    ("operation", "key"), [("commit", "00001.a.zip"), ("create", "ledger/0001/part-00001.parquet"), ("none", "")]
)
def test_a_shard_whose_worker_is_killed(source: MemorySource, operation: str, key: str) -> None:
    """A cluster runs the shard again: whatever the first run left, the job ends with each item once.

    In the last case the worker had committed the shard, and died before it could report that.
    """
    store = MemoryStore()
    dies_at(store, operation, key)

    def twice(shard: Shard, run: Run) -> Counts:
        try:
            run("a")
        except Killed:
            assert shard.part == 1
        return run("b")

    result = on_cluster(store, source, twice)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    folder = JobFolder(store, result.job_id)
    check_account(folder, {id_: thing.data for id_, thing in source.things.items()})
    again = {id_ for id_, count in source.given.items() if count > 1}
    assert again == ({"3", "4", "5"} if key else set()), "what was committed is not read again"
    names = {row["segment"] for row in held(folder).values()}
    assert store_keys.segment_name(1, 1, run="b" if key else "a") in names


def test_two_workers_with_one_shard(source: MemorySource) -> None:
    """A worker that was given up continues: the first commit wins, and the other segment is not read."""
    store = Overtaken()

    def both(shard: Shard, run: Run) -> Counts:
        store.before_commit = lambda: run("b")
        return run("a")

    result = on_cluster(store, source, both)
    assert result.counts == Counts(found=8, succeeded=8, bytes=72)
    folder = JobFolder(store, result.job_id)
    check_account(folder, {id_: thing.data for id_, thing in source.things.items()})
    assert {row["segment"] for row in held(folder).values()} == {
        store_keys.segment_name(1, part, run="b") for part in range(3)
    }


def test_a_lost_shard(source: MemorySource) -> None:
    """A shard that no worker survives is not attempted, and the other shards are collected.

    A retry completes the job.
    """
    store = MemoryStore()
    result = on_cluster(store, source, lambda shard, run: Counts() if shard.part == 1 else run("a"))
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    folder = JobFolder(store, result.job_id)
    check_account(folder)
    lost = unsuccessful(folder)
    assert {id_: row["error_code"] for id_, row in lost.items()} == dict.fromkeys("345", "worker_lost")
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_the_mark_to_stop(source: MemorySource) -> None:
    """What stops the attempt's process stops its shards in others, with its reason; so does a later cancel."""
    store = MemoryStore()
    here = new_job(store, source)
    there = JobFolder(store, here.job_id)
    stop = Stop()
    early = Failure("threshold_exceeded", "Too many failed.")
    with mark_stop(here, 1, stop), follow_stop(there, 1) as first, follow_stop(there, 1) as second:
        assert first is second
        assert not first
        stop.set(early)
        assert first.wait(30)
        assert first.why == early
        assert not first.canceled
        stop.set(CANCELED)
        while not first.canceled:
            first.wait(0)
    with follow_stop(there, 1) as late:
        assert late.why == early
        assert late.canceled
    with follow_stop(there, 2) as another:
        assert not another
