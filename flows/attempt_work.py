"""What an attempt of a collection hands to the threads, processes or clusters that collect its shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.job_folder.folder import JobFolder


@dataclass(frozen=True)
class AttemptWork:
    """The work of an attempt, of which each shard is a part.

    Attributes:
        source: The data source.
        folder: The job's folder.
        attempt: The attempt.
        policy: The policy of each shard.
        shared: The attempt's stop signals and progress.
    """

    source: DataSource
    folder: JobFolder
    attempt: int
    policy: ShardPolicy
    shared: StopSignals

    def parameters(self, shard: Shard, *, elsewhere: bool) -> dict[str, Any]:
        """Return the parameters of the task run of a shard."""
        return {
            "source": self.source, "store": self.folder.store, "job_id": self.folder.job_id, "attempt": self.attempt,
            "part": shard.part, "policy": self.policy, "elsewhere": elsewhere,
        }  # fmt: skip
