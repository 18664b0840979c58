"""The data sources above the table of jobs: their lifecycle, and what runs and waits on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prefect_collect.console.job_row import JobRow
from prefect_collect.statuses import JobStatus, LifecycleStatus

MOST_QUEUES: Final = 12
"""The most sources above the table; the page of sources has the others."""


@dataclass(frozen=True)
class SourceQueueRow:
    """A data source with its jobs that have not ended.

    Attributes:
        source: The source's name.
        lifecycle: Its lifecycle; None if it is not saved in Prefect.
        running: The number of its jobs that are in progress.
        queued: The number of its jobs that are queued.
    """

    source: str
    lifecycle: LifecycleStatus | None
    running: int
    queued: int


def source_queues(rows: Iterable[JobRow], lifecycles: Mapping[str, LifecycleStatus]) -> list[SourceQueueRow]:
    """Return the sources that are saved or have jobs in progress or queued: the busiest first, then by name."""
    jobs = [(row.source, row.status) for row in rows if row.source]
    running = Counter(source for source, status in jobs if status is JobStatus.IN_PROGRESS)
    queued = Counter(source for source, status in jobs if status is JobStatus.QUEUED)
    found = (
        SourceQueueRow(name, lifecycles.get(name), running[name], queued[name])
        for name in {*lifecycles, *running, *queued}
    )
    return sorted(found, key=lambda one: (-one.running - one.queued, one.source.casefold(), one.source))
