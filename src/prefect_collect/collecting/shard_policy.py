"""How a shard is collected."""

from __future__ import annotations

from dataclasses import dataclass, field

from prefect_collect.threads.retry_policy import RetryPolicy


@dataclass(frozen=True)
class ShardPolicy:
    """How a shard is collected.

    `run` names this run of a shard that may run more than once, at the same time even: no two write the same segment.
    """

    folder_name: str
    concurrency: int = 32
    compress: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    tolerated_failure_percentage: float = 100.0
    run: str = ""
