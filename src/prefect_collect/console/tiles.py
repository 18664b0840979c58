"""The Collections Snapshot as tiles: the number of jobs in each group of statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_collect.console.job_row import JobRow
from prefect_collect.statuses import JobStatus, SnapshotGroup, snapshot_group


@dataclass(frozen=True)
class Tile:
    """A tile: a group, the number of its jobs, and how many of them are Partially completed."""

    group: SnapshotGroup
    jobs: int
    partially: int = 0


def tiles(rows: Iterable[JobRow]) -> list[Tile]:
    """Return a tile for each group, in the specification's order."""
    counts = Counter(row.status for row in rows if row.status is not None)
    groups: Counter[SnapshotGroup] = Counter()
    for status, number in counts.items():
        groups[snapshot_group(status)] += number
    partially = counts[JobStatus.PARTIALLY_COMPLETED]
    return [Tile(group, groups[group], partially * (group is SnapshotGroup.COMPLETED)) for group in SnapshotGroup]
