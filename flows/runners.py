"""Where the shards of a collection run: in threads of the job's process, in processes, or on a Dask or Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from prefect.logging import get_run_logger
from prefect.task_runners import TaskRunner

from prefect_collect.collecting.attempt import ShardFuture
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.stop_signals import mark_stop
from prefect_collect.errors import CollectError, UsageError
from prefect_collect.flows.attempt_work import AttemptWork
from prefect_collect.flows.shards_here import ShardRunner, shards_here
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.ledger_counts import ledger_counts
from prefect_collect.job_folder.result import Counts
from prefect_collect.parameters import ON_THIS_MACHINE, Runner
from prefect_collect.tasks.collecting import collect_shard_task
from prefect_collect.threads.forked import CAN_FORK
from prefect_collect.threads.pool import Pool

_SETTLERS: Final = 4
_PATIENCE: Final = 120
_ANY_PORT: Final = "127.0.0.1:0"


@dataclass(frozen=True)
class _Cluster:
    """A started task runner: how many shards it runs at once, and the errors that it raises for a lost shard."""

    tasks: TaskRunner[Any]
    workers: int
    lost: tuple[type[BaseException], ...]


def require_runner(runner: Runner, address: str | None = None) -> None:
    """Raise UsageError if the runner's extra is not installed, or an address is given for one of this machine."""
    if runner in ON_THIS_MACHINE:
        if address is not None:
            raise UsageError(
                f"runner_address is for the runners dask and ray; {runner} runs on the job's own machine. "
                f"[runner_address={address}]"
            )
        if runner == "processes" and not CAN_FORK:
            raise UsageError("The runner processes needs Linux; use threads or dask. [runner=processes]")
    elif find_spec(f"prefect_{runner}") is None:
        raise UsageError(
            f"The runner {runner} needs an extra: pip install 'prefect-collect[{runner}]'. [runner={runner}]"
        )


@contextmanager
def shard_runner(runner: Runner, address: str | None, workers: int | None, work: AttemptWork) -> Iterator[ShardRunner]:
    """Start a runner for the shards of an attempt; enter it in the job's flow.

    A shard on a cluster is counted in the attempt's progress when it ends, and sees the attempt's stop within seconds.

    Args:
        runner: Where the shards run.
        address: The address of a running Dask scheduler (``tcp://host:8786``) or Ray head (``ray://host:10001``). None
            starts a cluster on this machine for the job.
        workers: How many shards to collect at once: the number of threads or processes (`shards_here`), of processes of
            the local cluster (None: one for each CPU), or the most workers of a cluster that grows.
        work: What the attempt is to collect.

    Raises:
        UsageError: The extra is not installed, the cluster does not answer, or it has no worker.
    """
    require_runner(runner, address)
    if runner in ON_THIS_MACHINE:
        with shards_here(runner, workers, work) as shards:
            yield shards
        return
    start = _dask if runner == "dask" else _ray
    with (
        start(address, workers) as cluster,
        Pool(_SETTLERS, "shard-results") as settlers,
        Pool(1, "shard-submit") as submitter,
        mark_stop(work.folder, work.attempt, work.shared.stop),
    ):
        elsewhere = _Elsewhere(cluster, work, settlers, get_run_logger().warning)

        def submit_elsewhere(shard: Shard) -> ShardFuture:
            parameters = work.parameters(shard, elsewhere=True)
            local: Future[Counts] = Future()
            # In a thread, as Prefect would turn a Ctrl-C during its serializing into another error.
            submitter.submit(copy_context().run, elsewhere.start, parameters, shard, local)
            return local

        yield ShardRunner(submit_elsewhere, 2 * max(cluster.workers, workers or 1))


@dataclass(frozen=True)
class _Elsewhere:
    """Submits shards to a cluster, and counts their results; a shard that is lost with its workers counts as none."""

    cluster: _Cluster
    work: AttemptWork
    settlers: Pool
    warn: Callable[..., None]

    def start(self, parameters: dict[str, Any], shard: Shard, local: Future[Counts]) -> None:
        """Submit the shard; `local` is done when the shard has ended and was counted.

        The callback runs in a thread of the cluster, which must not wait for the cluster: it only submits to a pool.
        """
        try:
            remote: Any = self.cluster.tasks.submit(collect_shard_task, parameters)
            remote.add_done_callback(lambda _: self.settlers.submit(self._settle, remote, shard, local))
        except BaseException as error:
            local.set_exception(error)

    def _settle(self, remote: Any, shard: Shard, local: Future[Counts]) -> None:
        try:
            local.set_result(self._counted(self._result(remote, shard)))
        except BaseException as error:
            local.set_exception(error)

    def _result(self, remote: Any, shard: Shard) -> Counts:
        try:
            counts: Counts = remote.result()
        except self.cluster.lost as error:
            # The worker may have committed it before it was lost.
            table = read_ledger(self.work.folder, self.work.attempt, shard.part)
            if table is not None:
                return ledger_counts(table)
            self.warn("Shard %d was lost with its workers; its items are not attempted: %s", shard.part, error)
            return Counts()
        return counts

    def _counted(self, counts: Counts) -> Counts:
        self.work.shared.progress.add(
            succeeded=counts.succeeded, failed=counts.failed, skipped=counts.skipped, bytes=counts.bytes
        )
        return counts


@contextmanager
def _dask(address: str | None, workers: int | None) -> Iterator[_Cluster]:
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker
    from prefect_dask.task_runners import DaskTaskRunner

    if address is None:
        # Port 0 is any free port, so that two jobs can have their clusters at once.
        local = {"n_workers": workers or os.cpu_count() or 1, "threads_per_worker": 1, "dashboard_address": _ANY_PORT}
        runner = DaskTaskRunner(cluster_kwargs=local)
    else:
        runner = DaskTaskRunner(address=address)
    with _quiet("distributed"), _entered(runner) as tasks:
        try:
            client = tasks.client
            if address is None:
                client.register_plugin(_ignore_interrupts())
            client.wait_for_workers(1, timeout=_PATIENCE)
            threads: int = sum(client.nthreads().values())
        except (OSError, TimeoutError, ValueError) as error:
            raise _unreachable("Dask scheduler", address, error) from error
        yield _Cluster(tasks, threads, (KilledWorker, FutureCancelledError, CommClosedError))


def _ignore_interrupts() -> Any:
    """Return a plugin by which local workers ignore Ctrl-C, which a terminal sends them too; the job stops them."""
    import signal

    import distributed

    class IgnoreInterrupts(distributed.WorkerPlugin):
        name = "ignore-interrupts"

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return IgnoreInterrupts()


@contextmanager
def _ray(address: str | None, workers: int | None) -> Iterator[_Cluster]:
    import ray
    from prefect_ray.task_runners import RayTaskRunner

    local: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    if address is None and workers is not None:
        local["num_cpus"] = workers
    runner = RayTaskRunner(address=address, init_kwargs=local if address is None else {})
    try:
        entered = runner.__enter__()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable("Ray head", address, error) from error
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        yield _Cluster(
            entered,
            max(cpus, 1),
            (
                ray.exceptions.RaySystemError,
                ray.exceptions.WorkerCrashedError,
                ray.exceptions.NodeDiedError,
                ray.exceptions.OutOfMemoryError,
            ),
        )
    finally:
        runner.__exit__(None, None, None)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's everyday messages out of the job's log."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _entered(runner: Any) -> AbstractContextManager[Any]:
    return runner  # type: ignore[no-any-return]


def _unreachable(what: str, address: str | None, error: BaseException) -> CollectError:
    where = f"at {address}" if address else "started here"
    return UsageError(
        f"The {what} {where} cannot be used: {type(error).__name__}: {error}. Check that it runs, has workers, and can "
        f"be reached from here. [runner_address={address}]"
    )
