"""The settings by which a collection, and each shard of it, is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prefect_collect.codes import Failure
from prefect_collect.parameters import Hash, OnEmpty
from prefect_collect.threads.retry_policy import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class CollectionPolicy:
    """The settings of a collection that its user chose, as the parameters of the same names.

    Attributes:
        tolerated_failure_percentage: An attempt stops early if more than this share of the items, without those that
            are elsewhere, has failed; 100: never.
        on_empty: Whether it is a success or a failure that nothing matches.
        compress: Whether to deflate staged items that become smaller by it.
        concurrency: The most small items of a shard to read at once; fewer where more are not faster.
        hashes: The hashes to compute of each item beside SHA-256.
        retry: How often to try an item that fails with a temporary error, and how long to wait in between.
    """

    tolerated_failure_percentage: float = 100.0
    on_empty: OnEmpty = "succeed"
    compress: bool = False
    concurrency: int = 128
    hashes: tuple[Hash, ...] = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def recorded(self) -> dict[str, Any]:
        """Return what the job's record keeps of the settings.

        Those that its account depends on, not those for speed.
        """
        return {
            "tolerated_failure_percentage": self.tolerated_failure_percentage,
            "on_empty": self.on_empty,
            "compress": self.compress,
            **({"hashes": [*self.hashes]} if self.hashes else {}),
        }

    def too_many(self, failed: int, wanted: int) -> Failure | None:
        """Return why to stop early, if more of the items `wanted` so far have failed than are tolerated; else None."""
        tolerated = self.tolerated_failure_percentage
        if tolerated >= 100 or not wanted or 100.0 * failed / wanted <= tolerated:
            return None
        return Failure(
            "threshold_exceeded",
            f"{failed} of {wanted} items failed, which is more than the tolerated {tolerated:g} %.",
        )


@dataclass(frozen=True)
class ShardPolicy:
    """The settings by which a shard is collected.

    Attributes:
        folder_name: The folder of the items in the shard's segments, which becomes the package's base folder.
        collection: The settings of the whole collection.
        run: The name of this run of a shard that may run more than once, even at the same time: no two runs write the
            same segment.
    """

    folder_name: str
    collection: CollectionPolicy = field(default_factory=CollectionPolicy)
    run: str = ""
