"""Shards in worker processes: what they leave is what threads leave, and no process of an attempt outlives it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from io import FileIO, TextIOWrapper
from pathlib import Path

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.collecting import enumeration, worker_processes
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.collecting.worker import ShardWork
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import open_store
from prefect_collect.threads.byte_budget import ByteBudget
from prefect_collect.threads.pool import in_background
from tests.support.deadly_source import DeadlySource
from tests.support.memory_source import KINDS, Thing
from tests.support.run_attempts import RETRY, attempt, check_account, export, held, new_job, unsuccessful

_ROOT = Path(__file__).parents[2]
_JOB = """
import sys
from tests.collecting.test_worker_processes import *

enumeration.SHARD_ITEMS = 2
log, store, reached = map(Path, sys.argv[1:])
source = DeadlySource({"1": Thing(), "2": Thing()}, log=log, hangs=frozenset("1"), reached=reached)
in_processes(new_job(open_store(store), source), source, StopSignals())
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have shards of four items."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 4)


def in_processes(folder: JobFolder, source: DeadlySource, shared: StopSignals, warnings: list[str] | None = None,
                 tolerated: float = 100.0) -> TaskResult:  # fmt: skip
    """Run one attempt with two worker processes."""
    said = [] if warnings is None else warnings
    policy = CollectionPolicy(concurrency=8, retry=RETRY, tolerated_failure_percentage=tolerated)
    work = ShardWork(source, folder, claim_attempt(folder), ShardPolicy("test", policy), 2)
    with (
        WorkerProcesses(work, shared, lambda text, *args: said.append(text % args)) as workers,
        ThreadPoolExecutor(3) as pool,
    ):
        return run_attempt(
            folder, folder.record(), work.attempt, source, lambda shard: pool.submit(workers.collect, shard.part),
            policy, in_flight=4, stop=shared.stop, progress=shared.progress,
        )  # fmt: skip


@pytest.fixture
def reached(tmp_path: Path) -> Iterator[TextIOWrapper]:
    """What items that hang write to: the id of the process that reads them."""
    os.mkfifo(tmp_path / "reached")
    # Opened for writing too, so that it does not end with its first writer.
    with TextIOWrapper(FileIO(os.open(tmp_path / "reached", os.O_RDWR))) as fifo:
        yield fifo


def what_is_held(folder: JobFolder) -> dict[str, tuple[object, ...]]:
    """Return what the manifest says of each item, but for its place in the segments."""
    return {id_: (row["path"], row["size"], row["sha256"], row["crc32"]) for id_, row in held(folder).items()}


@contextmanager
def ends(pid: int) -> Iterator[int]:
    """Assert that the process ends after the `with` block, before a test's time is over; yield its descriptor."""
    watched = os.pidfd_open(pid)
    try:
        yield watched
        assert select.select([watched], [], [], 60)[0], f"process {pid} lives on"
    finally:
        os.close(watched)


def test_what_processes_leave_is_what_threads_leave(tmp_path: Path) -> None:
    """Items of every kind have the same outcomes, tries and bytes, also where a worker was killed amid its shard.

    What the killed worker had counted is taken back from the progress. The packages have the same files.
    """
    things = {f"{kind}-{n}": Thing(kind, f"{kind} {n}".encode() * n) for kind in KINDS for n in (1, 2, 3)}
    store, warnings, shared = open_store(tmp_path / "store"), list[str](), StopSignals()
    source = DeadlySource(things, log=tmp_path / "log", kills={"good-2": 1})
    folder = new_job(store, source)
    result = in_processes(folder, source, shared, warnings)
    alone = DeadlySource(things, log=tmp_path / "other-log")
    other = new_job(store, alone)
    expected = attempt(other, alone, workers=2)

    assert set(source.readers()).isdisjoint({os.getpid()})
    assert set(alone.readers()) == {os.getpid()}
    assert len(set(source.readers("good-2"))) == 2
    [warning] = warnings
    assert "killed by signal 9" in warning
    check_account(folder)
    assert (result.status, result.counts) == (expected.status, expected.counts)
    for counted in ("succeeded", "failed", "skipped", "elsewhere", "bytes"):
        assert getattr(shared.progress, counted) == getattr(result.counts, counted), counted
    assert what_is_held(folder) == what_is_held(other)
    assert {id_: (row["error_code"], row["tries"]) for id_, row in unsuccessful(folder).items()} == {
        id_: (row["error_code"], row["tries"]) for id_, row in unsuccessful(other).items()
    }
    for job, name in ((folder, "one"), (other, "two")):
        export(job, open_store(tmp_path / name), "directory")
    one, two = (next((tmp_path / name).rglob("manifest-sha256.txt")).read_text() for name in ("one", "two"))
    assert sorted(one.splitlines()) == sorted(two.splitlines())  # they are in the order in which items arrived
    assert len(one.splitlines()) == result.counts.succeeded > 0


def test_a_shard_that_kills_every_worker(tmp_path: Path) -> None:
    """A shard is run three times; then its items are not attempted, the others succeed, and a retry takes the rest."""
    source = DeadlySource({str(n): Thing("good", b"x") for n in range(8)}, log=tmp_path / "log", kills={"5": 3})
    folder, warnings, shared = new_job(open_store(tmp_path / "store"), source), list[str](), StopSignals()
    result = in_processes(folder, source, shared, warnings)
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert set(held(folder)) == set("0123")
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"worker_lost"}
    assert shared.progress.succeeded == 4
    assert [warning.rsplit("; ", 1)[1] for warning in warnings] == [
        "it is run again.", "it is run again.", "its items are not attempted.",
    ]  # fmt: skip
    result = in_processes(folder, source, StopSignals())
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 8)
    check_account(folder)


def test_a_cancel_reaches_the_workers(tmp_path: Path, reached: TextIOWrapper) -> None:
    """A cancel ends shards in other processes, also those whose source hangs; the processes end with the attempt."""
    things = {str(n): Thing("good", b"x") for n in range(40)}
    source = DeadlySource(things, log=tmp_path / "log", hangs=frozenset({"13", "24"}), reached=tmp_path / "reached")
    folder, shared = new_job(open_store(tmp_path / "store"), source), StopSignals()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(in_processes, folder, source, shared)
        with ends(int(reached.readline())), ends(int(reached.readline())):
            shared.stop.set(CANCELED)
            result = running.result()
    assert result.status is JobStatus.CANCELED
    check_account(folder)
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"canceled"}
    assert 0 < result.counts.succeeded < 40


def test_too_many_failures_stop_a_job_amid_a_shard(tmp_path: Path, reached: TextIOWrapper) -> None:
    """The tolerated percentage of failures is judged while shards run, not only when one ends."""
    things = {"1": Thing("denied"), "2": Thing()}
    source = DeadlySource(things, log=tmp_path / "log", hangs=frozenset("2"), reached=tmp_path / "reached")
    folder, shared = new_job(open_store(tmp_path / "store"), source), StopSignals()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(in_processes, folder, source, shared, tolerated=10.0)
        reached.readline()
        is_stopped = shared.stop.wait(60)
        shared.stop.set(CANCELED)
        running.result()
    assert is_stopped
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"access_denied", "threshold_exceeded"}


def test_a_cancel_ends_a_worker_that_does_not_answer(
    tmp_path: Path, reached: TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped (SIGSTOP) cannot end its shard: it is killed after a while, and the job is Canceled."""
    monkeypatch.setattr(worker_processes, "_CANCELING", 0.1)
    things = {"1": Thing("good", b"x")}
    source = DeadlySource(things, log=tmp_path / "log", hangs=frozenset("1"), reached=tmp_path / "reached")
    folder, shared = new_job(open_store(tmp_path / "store"), source), StopSignals()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(in_processes, folder, source, shared)
        pid = int(reached.readline())
        os.kill(pid, signal.SIGSTOP)
        with ends(pid):
            shared.stop.set(CANCELED)
        result = running.result()
    assert result.status is JobStatus.CANCELED
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"canceled"}
    check_account(folder)


def test_no_worker_outlives_a_killed_job(tmp_path: Path, reached: TextIOWrapper) -> None:
    """If the job's process is killed, its worker ends at once, in the midst of a shard, and commits nothing more.

    Ctrl-C and SIGTERM, which a terminal and a service send to all processes, do not end a worker.
    """
    log, store = tmp_path / "log", tmp_path / "store"
    with subprocess.Popen([sys.executable, "-c", _JOB, log, store, tmp_path / "reached"], cwd=_ROOT) as job:
        pid = int(reached.readline())
        with ends(pid) as watched:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            live_on = not select.select([watched], [], [], 0.5)[0] and job.poll() is None
            job.kill()
    assert live_on
    assert not list(store.glob("*/ledger/0001/*"))


def test_a_worker_that_cannot_begin(tmp_path: Path) -> None:
    """If a worker cannot import the source, the job fails with that error, and is not tried again in other workers."""
    source = DeadlySource({"1": Thing()}, log=tmp_path / "log")
    folder, shared = new_job(open_store(tmp_path / "store"), source), StopSignals()
    policy = CollectionPolicy()
    work = ShardWork(source, folder, claim_attempt(folder), ShardPolicy("test", policy), 2)
    with (
        WorkerProcesses(work, shared, print, pickled=lambda _: b"cno_such_module\nsource\n.") as workers,
        pytest.raises(ModuleNotFoundError, match="no_such_module"),
    ):
        workers.collect(0)


def no_more_threads() -> None:
    """Have the main thread alone start threads, as if the system's limit were reached then."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("can't start new thread")
        start(thread)

    vars(threading)["Thread"].start = refuse


def test_a_worker_without_a_thread_for_its_shard(tmp_path: Path) -> None:
    """If a worker cannot start the thread of a shard, the shard ends with that error; the job does not wait for it."""
    source = DeadlySource({"1": Thing()}, log=tmp_path / "log")
    folder = new_job(open_store(tmp_path / "store"), source)
    work = ShardWork(source, folder, claim_attempt(folder), ShardPolicy("test"), 1)
    with (
        WorkerProcesses(work, StopSignals(), print, prepare=no_more_threads) as workers,
        pytest.raises(RuntimeError, match="can't start new thread"),
    ):
        workers.collect(0)


def test_a_worker_whose_shard_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If waiting for a worker's answer is broken off, such as by Ctrl-C, the worker ends by itself."""
    source = DeadlySource({"1": Thing()}, log=tmp_path / "log")
    folder = new_job(open_store(tmp_path / "store"), source)
    work = ShardWork(source, folder, claim_attempt(folder), ShardPolicy("test"), 1)
    how, end = list[str](), worker_processes._Worker.end

    def interrupted(*_: object) -> Counts:
        raise KeyboardInterrupt

    def ended(worker: worker_processes._Worker) -> str:
        how.append(end(worker))
        return how[-1]

    monkeypatch.setattr(worker_processes._Worker, "answer", interrupted)
    monkeypatch.setattr(worker_processes._Worker, "end", ended)
    with WorkerProcesses(work, StopSignals(), print) as workers, pytest.raises(KeyboardInterrupt):
        workers.collect(0)
    assert how == ["exit code 0"]


def test_the_share_of_a_budget() -> None:
    """All processes together hold what one may hold; more than its share is granted when nothing else is reserved."""
    budget = ByteBudget(100)
    budget.divide(4)
    budget.acquire(20)
    more = in_background(budget.acquire, 10)
    assert not wait([more], timeout=0.05).done
    budget.release(20)
    more.result()
    assert budget.reserved == 10
