"""One attempt of a collection without Prefect, whose shards run in threads or in worker processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Final
from uuid import uuid4

from benchmarks.servers import cpu_seconds
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.attempt import ShardFuture, Submit, run_attempt
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.collecting.worker import ShardWork
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.job_folder.result import Counts
from prefect_collect.statuses import JobKind
from prefect_collect.stores import open_store

_THREADS: Final = 2
"""How many shards read `concurrency` items each in a job's own process; all workers together read as many."""


@dataclass(frozen=True)
class Took:
    """What a run took, in seconds: on the clock, and of CPU in the job's process, in its workers, and for closing."""

    clock: float
    job: float
    workers: float
    closing: float

    def on(self, cores: int) -> float:
        """Compute the time on so many idle cores: what the job's process does is serial, and so is the closing."""
        job = self.job - self.closing
        return max(job, (job + self.workers) / cores) + self.closing


@dataclass
class _Job:
    source: DataSource
    folder: JobFolder
    attempt: int
    shared: StopSignals

    @classmethod
    def new(cls, source: DataSource, store: Path) -> _Job:
        folder = JobFolder(open_store(store), str(uuid4()))
        described = {"name": source.name, "location": source.location()}
        create_job(folder, JobRecord(folder.job_id, JobKind.COLLECTION, "bench", described, "bench", {}, {}))
        return cls(source, folder, claim_attempt(folder), StopSignals())

    def run(self, submit: Submit, shards: int, *, elsewhere: bool) -> tuple[float, float]:
        """Return the CPU time of the job's process when the last shard ended, and the time of the clock at the end."""
        last = [process_time()]

        def submitted(shard: Shard) -> ShardFuture:
            future = submit(shard)
            future.add_done_callback(lambda _: last.append(process_time()))
            return future

        result = run_attempt(
            self.folder, self.folder.record(), self.attempt, self.source, submitted, CollectionPolicy(),
            in_flight=2 * shards, stop=self.shared.stop, progress=self.shared.progress,
            elsewhere=elsewhere,
        )  # fmt: skip
        assert result.counts.succeeded == result.counts.found > 0
        return last[-1], perf_counter()


def on_threads(source: DataSource, store: Path, threads: int) -> Took:
    """Collect with so many shards at once in threads."""
    job, policy = _Job.new(source, store), ShardPolicy("bench", CollectionPolicy())
    with ThreadPoolExecutor(threads) as pool:

        def submit(shard: Shard) -> Future[Counts]:
            return pool.submit(
                collect_shard, source, job.folder, job.attempt, shard.part, policy,
                job.shared.stop, job.shared.progress,
            )  # fmt: skip

        began, cpu = perf_counter(), process_time()
        last, ended = job.run(submit, threads, elsewhere=False)
    return Took(ended - began, process_time() - cpu, 0.0, process_time() - last)


def in_processes(source: DataSource, store: Path, processes: int, *, one_core: bool = False) -> Took:
    """Collect in so many worker processes, which have been started; with `one_core` they and the job share a core."""
    job = _Job.new(source, store)
    at_once = ceil(CollectionPolicy().concurrency * _THREADS / max(processes, _THREADS))
    policy = replace(CollectionPolicy(), concurrency=at_once)
    work = ShardWork(source.for_worker(processes), job.folder, job.attempt, ShardPolicy("bench", policy), processes)
    with WorkerProcesses(work, job.shared, print) as workers, ThreadPoolExecutor(processes + 1) as pool:
        workers.start_all()
        with _one_core(workers.pids) if one_core else nullcontext():
            before = sum(map(cpu_seconds, workers.pids))
            began, cpu = perf_counter(), process_time()
            last, ended = job.run(
                lambda shard: pool.submit(workers.collect, shard.part), processes, elsewhere=True
            )  # fmt: skip
            return Took(
                ended - began, process_time() - cpu, sum(map(cpu_seconds, workers.pids)) - before, process_time() - last
            )  # fmt: skip


@contextmanager
def _one_core(workers: Iterable[int]) -> Iterator[None]:
    """Keep this process and its workers to one core."""
    allowed = os.sched_getaffinity(0)
    pids = [os.getpid(), *workers]
    _keep_to(pids, {min(allowed)})
    try:
        yield
    finally:
        _keep_to(pids, allowed)


def _keep_to(pids: list[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(int(thread.name), cores)


Way = Callable[[DataSource, Path], Took]

WAYS: Final[dict[str, Way]] = {
    "threads, 1": lambda source, store: on_threads(source, store, 1),
    "threads, 2": lambda source, store: on_threads(source, store, 2),
    "processes, 1, one core": lambda source, store: in_processes(source, store, 1, one_core=True),
    "processes, 1": lambda source, store: in_processes(source, store, 1),
    "processes, 2": lambda source, store: in_processes(source, store, 2),
}
"""The ways in which the shards of a job may run."""


def in_turn(source: DataSource, folder: Path, ways: Iterable[str], rounds: int) -> dict[str, list[Took]]:
    """Collect a source in each way in turn, each time into a fresh store in the folder."""
    took: dict[str, list[Took]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, runs in took.items():
            store = Path(tempfile.mkdtemp(dir=folder))
            try:
                runs.append(WAYS[way](source, store))
            finally:
                shutil.rmtree(store)
    return took


def times_as_fast(took: dict[str, list[Took]], base: str, way: str) -> float:
    """Return how many times as fast a way is as another, by the median of the rounds."""
    return median(other.clock / one.clock for other, one in zip(took[base], took[way], strict=True))
