"""What the scenarios share: a folder on tmpfs, the running servers, and the workers that run prefect-collect."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.budget import Allowance
from benchmarks.data import DataSet, remove
from benchmarks.measure import Contender, Place
from benchmarks.peers import Command, credentials
from benchmarks.servers import PrefectServer, S3Bench, SeaweedFS, Server, build_s3bench, cpu_seconds, settle
from benchmarks.took import Took
from benchmarks.worker import Worker

S = TypeVar("S", bound=Server)
Build = Callable[[int, str, bool], Command]
"""Concurrency, target and whether the source is to be empty → the command."""


@dataclass
class Bench:
    """One run of the benchmarks.

    `stack` is closed at the end of each row and stops its servers and workers; `whole` at the end of all. `allowance`
    is what the present row may take.
    """

    work: Path
    quick: bool
    rounds: int
    whole: ExitStack
    allowance: Allowance = field(default_factory=lambda: Allowance(float("inf")))
    stack: ExitStack = field(default_factory=ExitStack)
    servers: list[Server] = field(default_factory=list)
    _logs: int = 0

    def log(self, name: str) -> Path:
        """Return the path of a new log file."""
        self._logs += 1
        folder = self.work / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{self._logs:03d}-{name}.log"

    def settle(self) -> None:
        """Wait until every server is idle, so that no contender pays for work that another one left."""
        settle(self.servers)

    def started(self, server: S, stack: ExitStack | None = None) -> S:
        """Have a server that was started waited for, and ended with the row (or with another stack)."""
        stack = stack or self.stack
        self.servers.append(server)
        stack.callback(self.servers.remove, server)
        stack.callback(server.stop)
        return server

    @cached_property
    def _s3bench(self) -> Path:
        return build_s3bench(self.work)

    def prepare(self) -> None:
        """Compile and start what most rows use, so that it takes nothing from the first row's time."""
        _ = (self._s3bench, self.prefect)

    @cached_property
    def nothing(self) -> Path:
        """An empty folder."""
        (self.work / "nothing").mkdir()
        return self.work / "nothing"

    @property
    def out(self) -> Path:
        """The folder in which runs make their places."""
        return self.work / "out"

    def tree(self, data: DataSet) -> Path:
        """Write a data set into a folder that is deleted with the row."""
        root = self.work / f"tree-{data.name}"
        self.stack.callback(remove, root)
        return data.make_tree(root)

    def scratch(self, name: str) -> Path:
        """Make an empty folder that is deleted with the row."""
        folder = self.work / "scratch" / name
        folder.mkdir(parents=True)
        self.stack.callback(remove, folder)
        return folder

    @property
    def small(self) -> DataSet:
        """The 10,000 small items of most rows."""
        return DataSet("small", 1_000 if self.quick else 10_000, 4 << 10, 16 << 10)

    def fewer(self, count: int) -> DataSet:
        """Return a smaller set of such items, for rows in which each takes long."""
        return DataSet("small", min(self.small.count, count), 4 << 10, 16 << 10)

    @property
    def big(self) -> DataSet:
        """The 4 large items."""
        size = (16 if self.quick else 256) << 20
        return DataSet("big", 4, size, size)

    @cached_property
    def prefect(self) -> PrefectServer:
        """The Prefect server that all runs of prefect-collect use."""
        server = PrefectServer(self.work / "prefect", self.log("prefect"))
        return self.started(server, self.whole)

    def s3bench(self, *sets: DataSet, latency: str = "0", rate: int = 0) -> S3Bench:
        """Start an in-memory S3 server that holds the data sets; an answer has `rate` bytes a second (0: no limit)."""
        flags = f"-latency={latency}", f"-rate={rate}"
        server = S3Bench(self._s3bench, self.log("s3bench"), [s.fill for s in sets], *flags)
        return self.started(server)

    def seaweedfs(self) -> SeaweedFS:
        """Start a SeaweedFS server without data."""
        server = SeaweedFS(self.work / f"weed-{self._logs}", self.log("seaweedfs"))
        return self.started(server)

    def worker(self, endpoint: str = "http://127.0.0.1:1", **environment: str) -> Worker:
        """Start a process with the imports done; its S3 requests go to `endpoint`."""
        prefect = {**self.prefect.env, "PREFECT_API_URL": self.prefect.api_url}
        env = {**credentials(endpoint), **prefect, **environment}
        worker = Worker(self.log("worker"), env)
        self.stack.callback(worker.stop)
        worker.call("product.warm")
        return worker

    def used(self) -> float:
        """Return the CPU seconds of this process, of all that it started and that have ended, and of the servers."""
        ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in ended) + sum(cpu_seconds(one.pid) for one in self.servers)

    def cpus(self) -> int:
        """Return the number of CPUs that this process may use."""
        return len(os.sched_getaffinity(0))


def all_of(answer: dict[str, Any], items: int) -> Took:
    """Return the time in a worker's answer. Raise RuntimeError unless it did all the items."""
    if answer["succeeded"] != items:
        raise RuntimeError(f"only {answer['succeeded']} of {items} items succeeded: {answer}")
    return Took(answer["seconds"], answer["cpu"], answer.get("work", 0.0))


def collecting(
    worker: Worker, source: dict[str, Any], nothing: dict[str, Any], items: int, scheme: str = ""
) -> Callable[[int, str, bool], Took]:
    """Return a contender's run: ``collect()`` from a source, or from an empty one, into the place."""

    def run(setting: int, where: str, empty: bool) -> Took:
        spec, count = (nothing, 0) if empty else (source, items)
        options = {"source": spec, "store": scheme + where, "concurrency": setting or None}
        return all_of(worker.call("product.run_collection", **options), count)

    return run


def peer(
    bench: Bench, name: str, place: Place, build: Build, *, sweep: Sequence[int], expect: int | None, **more: Any
) -> Contender:
    """Return a contender that is a command."""

    def run(setting: int, where: str, empty: bool) -> Took:
        return build(setting, where, empty).run(bench.log(name.split()[0]))

    return Contender(name, place, run, sweep, expect, **more)


def nothing_where_empty(run: Callable[[int, str], Took]) -> Callable[[int, str, bool], Took]:
    """Return a contender's run that has no constant part."""
    return lambda setting, where, empty: Took(0.0) if empty else run(setting, where)
