"""The task run that collects one shard."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.collecting.stop_signals import follow_stop, signals_of
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import Counts
from prefect_collect.stores import Store


@task(
    name="collect shard",
    task_run_name="shard {part}",
    persist_result=False,
    cache_policy=NO_CACHE,
    description="Collects one shard of the inventory and commits its outcomes to the ledger.",
)
def collect_shard_task(
    source: DataSource,
    store: Store,
    job_id: str,
    attempt: int,
    part: int,
    policy: ShardPolicy,
    elsewhere: bool = False,
    processes: WorkerProcesses | None = None,
) -> Counts:
    """Collect one part of the inventory, and commit its part of the ledger.

    Args:
        source: The data source.
        store: The staging store.
        job_id: The job's id.
        attempt: The number of the attempt.
        part: The number of the part.
        policy: How the shard is collected.
        elsewhere: True on a cluster, False in the process that runs the attempt. A cluster may run a shard twice; a
            shard that was already committed is not collected again.
        processes: The worker processes that collect the shard, while this task run waits; None if it does so itself.

    Raises:
        StoreError: The part of the ledger could not be written.
        AttemptSuperseded: On a cluster, if a later attempt was started.
    """
    if processes is not None:
        return processes.collect(part)
    folder = JobFolder(store, job_id)
    if not elsewhere:
        shared = signals_of(job_id, attempt)
        return collect_shard(source, folder, attempt, part, policy, shared.stop, shared.progress)
    folder.require_current(attempt)
    with follow_stop(folder, attempt) as stop:
        return collect_shard(source, folder, attempt, part, replace(policy, run=token_hex(4)), stop)
