"""Throughput of worker processes beside threads: files to a local store, with SHA-256, where no server is the limit.

    python -m benchmarks --only processes
    python -m benchmarks.processes [FILES] [ROUNDS] [FOLDER]

Collects FILES small files (10,000), and the same with large ones of 64 MiB, on threads and in processes, one and two of
each. The rounds are interleaved, and what is compared is of one round, as other programs may use the machine too.
Prints Markdown; the last lines compute what 16 cores would give from what is serial. FOLDER (by default the temporary
folder) is where the files and stores are made; a file system in memory keeps the disk from being the limit.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final
from uuid import uuid4

from benchmarks.context import Bench
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.worker import Worker
from prefect_collect.blocks import FileSource
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

_LARGE: Final = 64 << 20
_CORES: Final = 16
_TICKS: Final = os.sysconf("SC_CLK_TCK")


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


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class _Job:
    source: FileSource
    folder: JobFolder
    attempt: int
    policy: CollectionPolicy
    shared: StopSignals

    @classmethod
    def new(cls, root: Path, store: Path, shards: int) -> _Job:
        source = FileSource(root=root)
        folder = JobFolder(open_store(store), str(uuid4()))
        described = {"name": source.name, "location": source.location()}
        create_job(folder, JobRecord(folder.job_id, JobKind.COLLECTION, "bench", described, "bench", {}, {}))
        policy = CollectionPolicy(concurrency=max(1, 64 // max(shards, 2)))
        return cls(source, folder, claim_attempt(folder), policy, StopSignals())

    def run(self, submit: Submit, shards: int) -> tuple[float, float]:
        """Return the CPU time of the job's process when the last shard ended, and the time of the clock at the end."""
        last = [process_time()]

        def submitted(shard: Shard) -> ShardFuture:
            future = submit(shard)
            future.add_done_callback(lambda _: last.append(process_time()))
            return future

        result = run_attempt(
            self.folder, self.folder.record(), self.attempt, self.source, submitted, self.policy,
            in_flight=2 * shards, stop=self.shared.stop, progress=self.shared.progress,
        )  # fmt: skip
        assert result.counts.succeeded == result.counts.found > 0
        return last[-1], perf_counter()


def on_threads(job: _Job, threads: int) -> Took:
    """Collect with so many shards at once in threads."""
    policy = ShardPolicy("bench", job.policy)
    with ThreadPoolExecutor(threads) as pool:

        def submit(shard: Shard) -> Future[Counts]:
            return pool.submit(
                collect_shard, job.source, job.folder, job.attempt, shard.part, policy,
                job.shared.stop, job.shared.progress,
            )  # fmt: skip

        began, cpu = perf_counter(), process_time()
        last, ended = job.run(submit, threads)
    return Took(ended - began, process_time() - cpu, 0.0, process_time() - last)


def in_processes(job: _Job, processes: int) -> Took:
    """Collect in so many worker processes, which have been started."""
    work = ShardWork(job.source, job.folder, job.attempt, ShardPolicy("bench", job.policy), processes)
    with WorkerProcesses(work, job.shared, print) as workers, ThreadPoolExecutor(processes + 1) as pool:
        workers.start_all()
        before = sum(map(_cpu, workers.pids))
        began, cpu = perf_counter(), process_time()
        last, ended = job.run(lambda shard: pool.submit(workers.collect, shard.part), processes)
        return Took(
            ended - began, process_time() - cpu, sum(map(_cpu, workers.pids)) - before, process_time() - last
        )  # fmt: skip


@contextmanager
def _tree(folder: Path, files: int, large: int) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir=folder))
    data = random.Random(7).randbytes(32 << 10)
    for n in range(files):
        place = root / f"{n // 100:04d}"
        place.mkdir(exist_ok=True)
        (place / f"{n:06d}.eml").write_bytes(b"%d" % n + data[: n * 7919 % (32 << 10)])
    for n in range(large):
        (root / f"{n * files // large // 100:04d}" / f"large-{n}.pst").write_bytes(
            b"%d" % n + random.Random(n).randbytes(_LARGE)
        )
    try:
        yield root
    finally:
        shutil.rmtree(root)


def measured(root: Path, rounds: int) -> dict[str, list[Took]]:
    """Collect a tree with each number of threads and processes in turn."""
    took: dict[str, list[Took]] = {}
    for _ in range(rounds):
        for name, run, shards in (
            ("threads, 1", on_threads, 1), ("threads, 2", on_threads, 2),
            ("processes, 1", in_processes, 1), ("processes, 2", in_processes, 2),
        ):  # fmt: skip
            store = Path(tempfile.mkdtemp(dir=root.parent))
            try:
                took.setdefault(name, []).append(run(_Job.new(root, store, shards), shards))
            finally:
                shutil.rmtree(store)
    return took


def _beside(took: dict[str, list[Took]], base: str, name: str) -> float:
    """Return how many times as fast it is as another way, by the median of the rounds."""
    return median(other.clock / one.clock for other, one in zip(took[base], took[name], strict=True))


def compare(what: str, root: Path, rounds: int) -> None:
    """Print the rows of a tree."""
    took = measured(root, rounds)
    for name, runs in took.items():
        middle = sorted(runs, key=lambda one: one.clock)[len(runs) // 2]
        print(
            f"| {what} | {name} | {middle.clock:.2f} s | {middle.job:.2f} + {middle.workers:.2f} s | "
            f"{_beside(took, 'threads, 2', name):.2f} | {_beside(took, 'processes, 1', name):.2f} |"
        )
    runs = took["processes, 2"]
    for cores in (2, _CORES):
        computed = median(one.on(1) / one.on(cores) for one in runs)
        print(f"| {what} | computed: processes, {cores} idle cores beside 1 | | | | {computed:.2f} |")


def measure(folder: str, files: int, large: int, rounds: int) -> dict[str, Any]:
    """Measure a tree, for `processes`: ratios, seconds and CPU seconds of two workers."""
    with _tree(Path(folder), files, large) as root:
        took = measured(root, rounds)
    return {
        "beside": {base: _beside(took, base, "processes, 2") for base in took},
        "clock": {name: median(one.clock for one in runs) for name, runs in took.items()},
        "used": {name: median(one.job + one.workers for one in runs) for name, runs in took.items()},
    }


def processes(bench: Bench) -> list[Limit]:
    """Measure two worker processes beside one, and beside one thread."""
    rows = []
    files = 1_000 if bench.quick else 10_000
    for large in (0, 1 if bench.quick else 8):
        worker = Worker(bench.log("worker"), {})
        bench.stack.callback(worker.stop)
        folder = str(bench.scratch(f"processes-{large}"))
        # Of a small tree first, as imports are no part of it.
        worker.call("processes.measure", folder=folder, files=100, large=0, rounds=1)
        found = worker.call("processes.measure", folder=folder, files=files, large=large, rounds=bench.rounds)
        what = f"{files:,} small files" + (f" and {large} of {_LARGE >> 20} MiB" if large else "")
        clock, used, beside = (found[name] for name in ("clock", "used", "beside"))
        say(f"    {what}: {clock}, CPU {used}")
        for base, most in (("processes, 1", 1.8), ("threads, 1", None)):
            seconds = f"{clock[base]:.2f} s → {clock['processes, 2']:.2f} s"
            note = f"{seconds}; CPU {used[base]:.2f} → {used['processes, 2']:.2f} s"
            other = "1 process" if "processes" in base else "1 thread"
            title = f"2 worker processes beside {other}, {what}"
            rows.append(Limit(title, beside[base], "times", most, note, is_least=True))
    return rows


def main() -> None:
    """Measure, and print."""
    given = sys.argv[1:]
    files, rounds, place = (given + ["10000", "5", tempfile.gettempdir()][len(given) :])[:3]
    folder = Path(place)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds\n")
    print("| files | shards at once | clock | CPU: job + workers | to threads, 2 | to processes, 1 |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for large in (0, 16):
        with _tree(folder, int(files), large) as root:
            compare(f"{int(files):,} small" + (f", {large} of 64 MiB" if large else ""), root, int(rounds))


if __name__ == "__main__":
    main()
