"""What one Prefect task run does."""

from prefect_collect.tasks.collecting import collect_shard_task

__all__ = ["collect_shard_task"]
