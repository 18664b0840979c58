"""Collect the shards of an attempt on the job's own machine: in threads of its process, or in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from prefect.logging import get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_collect.collecting.attempt import ShardFuture, Submit
from prefect_collect.collecting.busy_core import BusyCore
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.flows._worker_processes import count_workers, worker_processes, workers_by_need
from prefect_collect.flows.attempt_work import AttemptWork
from prefect_collect.parameters import Runner
from prefect_collect.tasks.collecting import collect_shard_task

WORKERS: Final = 2
"""The threads of the job's process that collect one shard each; each reads up to `concurrency` items at once."""


@dataclass(frozen=True)
class ShardRunner:
    """The function `submit` for `run_attempt`, and how many shards to submit at once: two for each worker."""

    submit: Submit
    in_flight: int


@contextmanager
def shards_here(runner: Runner, workers: int | None, work: AttemptWork) -> Iterator[ShardRunner]:
    """Start a runner for the shards of an attempt on this machine.

    `auto` begins with threads. As soon as the job's process has kept a core busy for some seconds, the other shards go
    to worker processes, if the source, the cores and the memory allow some.

    Args:
        runner: Which one.
        workers: The number of threads (None: 2) or processes (None: one for each core, for `auto` at most 4).
        work: What the attempt is to collect.
    """
    source, count = work.source, 0
    if runner == "processes":
        count = count_workers(source, workers)
        if not count:
            get_run_logger().info("%s is to be read by one process, so its shards run in threads.", source.name)
    later = workers_by_need(source, workers) if runner == "auto" else 0
    with ExitStack() as stack:
        shards = _Shards(work, stack)
        if count:
            shards.start_processes(count)
        else:
            shards.start_threads(workers or WORKERS)
        in_flight = 2 * (count or max(workers or WORKERS, later))
        busy = BusyCore()

        def submit(shard: Shard) -> ShardFuture:
            nonlocal later
            if later and busy.is_busy():
                later = 0
                if needed := workers_by_need(source, workers):  # there may be less memory by now
                    shards.try_processes(needed)
            return shards.submit(shard)

        yield ShardRunner(submit, in_flight)


@dataclass
class _Shards:
    """The shards of an attempt, in threads or in processes; `stack` ends what runs them, the last one first."""

    work: AttemptWork
    stack: ExitStack
    processes: WorkerProcesses | None = None
    tasks: Any = field(default=None, init=False)

    def start_threads(self, count: int) -> None:
        """Run the shards that are submitted from now on in so many threads."""
        self.tasks = self.stack.enter_context(ThreadPoolTaskRunner(max_workers=count))

    def start_processes(self, count: int) -> None:
        """Run the shards that are submitted from now on in so many processes; those in threads go on there."""
        self._go_on_in(self._entered(count), count)

    def try_processes(self, count: int) -> None:
        """Run the shards that are submitted from now on in processes, if all of them may, and can, be started."""
        if self.work.source.most_workers() == 0:
            return
        try:
            processes = self._entered(count)
            processes.start_all()
        except (OSError, EOFError) as error:
            get_run_logger().warning("Worker processes could not be started, so shards go on in threads: %s", error)
            return
        self._go_on_in(processes, count)
        get_run_logger().info("The job keeps a core busy, so its shards run in %d processes from now on.", count)

    def _entered(self, count: int) -> WorkerProcesses:
        return self.stack.enter_context(worker_processes(count, WORKERS, self.work, get_run_logger().warning))

    def _go_on_in(self, processes: WorkerProcesses, count: int) -> None:
        self.processes = processes
        # One thread more than processes, so that the next task run has begun when a process is free.
        self.start_threads(count + 1)

    def submit(self, shard: Shard) -> ShardFuture:
        """Submit a shard."""
        parameters = self.work.parameters(shard, elsewhere=False) | {"processes": self.processes}
        future: ShardFuture = self.tasks.submit(collect_shard_task, parameters)
        return future
