"""The task runs: one shard of a collection, one step of an export."""

from prefect_collect.tasks.collecting import collect_shard_task

__all__ = ["collect_shard_task"]
