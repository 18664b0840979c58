"""What the scenarios share: a folder on tmpfs, the running servers, and the workers that run prefect-collect."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.data import DataSet
from benchmarks.peers import credentials
from benchmarks.servers import PrefectServer, S3Bench, SeaweedFS, Server, build_s3bench
from benchmarks.took import Took
from benchmarks.worker import Worker

S = TypeVar("S", bound=Server)


@dataclass
class Bench:
    """One run of the benchmarks.

    `stack` is closed at the end of each scenario and stops its servers and workers; `whole` at the end of all.
    `prototypes` puts bare prototypes in the product's place.
    """

    work: Path
    quick: bool
    prototypes: bool
    rounds: int
    whole: ExitStack
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
        for server in self.servers:
            server.settle()

    def _started(self, server: S, stack: ExitStack) -> S:
        self.servers.append(server)
        stack.callback(self.servers.remove, server)
        stack.callback(server.stop)
        return server

    @cached_property
    def _s3bench(self) -> Path:
        folder = self.work / "build"
        folder.mkdir()
        return build_s3bench(folder)

    @cached_property
    def prefect(self) -> PrefectServer:
        """The Prefect server that all runs of prefect-collect use."""
        server = PrefectServer(self.work / "prefect", self.log("prefect"))
        return self._started(server, self.whole)

    def s3bench(self, *sets: DataSet, latency: str = "0", rate: int = 0) -> S3Bench:
        """Start an in-memory S3 server that holds the data sets; an answer has `rate` bytes a second (0: no limit)."""
        flags = f"-latency={latency}", f"-rate={rate}"
        server = S3Bench(self._s3bench, self.log("s3bench"), [s.fill for s in sets], *flags)
        return self._started(server, self.stack)

    def seaweedfs(self) -> SeaweedFS:
        """Start a SeaweedFS server without data."""
        server = SeaweedFS(self.work / f"weed-{self._logs}", self.log("seaweedfs"))
        return self._started(server, self.stack)

    def worker(self, endpoint: str = "http://127.0.0.1:1") -> Worker:
        """Start a process with the imports done; its S3 requests go to `endpoint`."""
        env = credentials(endpoint)
        if not self.prototypes:
            env |= {**self.prefect.env, "PREFECT_API_URL": self.prefect.api_url}
        worker = Worker(self.log("worker"), env)
        self.stack.callback(worker.stop)
        worker.call("prototypes.warm" if self.prototypes else "product.warm")
        return worker

    def cpus(self) -> int:
        """Return the number of CPUs that this process may use."""
        return len(os.sched_getaffinity(0))


def all_of(answer: dict[str, Any], items: int) -> Took:
    """Return the time in a worker's answer. Raise RuntimeError unless it did all the items."""
    if answer["succeeded"] != items:
        raise RuntimeError(f"only {answer['succeeded']} of {items} items succeeded: {answer}")
    return Took(answer["seconds"], answer["cpu"], answer.get("work", 0.0))
