"""One shard of a collection as a task run."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.collecting.stop_signals import follow_stop, signals_of
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import Counts
from prefect_collect.stores import Store


@task(
    name="collect shard",
    task_run_name="shard {part}",
    persist_result=False,
    cache_policy=NO_CACHE,
    description="Collects one slice of the inventory and commits its outcomes to the ledger.",
)
def collect_shard_task(
    source: DataSource,
    store: Store,
    job_id: str,
    attempt: int,
    part: int,
    policy: ShardPolicy,
    elsewhere: bool = False,
) -> Counts:
    """Collect one inventory part and commit its ledger part. Raises StoreError if that could not be written.

    `elsewhere`: not in the process that runs the attempt, but on a cluster, which may run a shard twice. Then a shard
    that was committed is not collected again, and raises AttemptSuperseded if a later attempt was started.
    """
    folder = JobFolder(store, job_id)
    if not elsewhere:
        shared = signals_of(job_id, attempt)
        return collect_shard(source, folder, attempt, part, policy, shared.stop, shared.progress)
    folder.require_current(attempt)
    with follow_stop(folder, attempt) as stop:
        return collect_shard(source, folder, attempt, part, replace(policy, run=token_hex(4)), stop)
