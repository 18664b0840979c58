"""The sources above the table of jobs."""

from __future__ import annotations

from dataclasses import replace

from prefect_collect.console.source_queues import SourceQueueRow, source_queues
from prefect_collect.statuses import JobStatus, LifecycleStatus
from tests.console.test_source_table import job


def test_sources_with_their_lifecycle_and_queue() -> None:
    """The busiest source comes first; a saved one without jobs is there, too, and one that is not saved has no
    lifecycle. What has ended is not counted.
    """
    rows = [
        job(1, JobStatus.IN_PROGRESS),
        job(2, JobStatus.QUEUED),
        job(3, JobStatus.SUCCESSFULLY_COMPLETED),
        job(4, JobStatus.QUEUED, source="other"),
        replace(job(5, JobStatus.IN_PROGRESS), source=""),
    ]
    saved = {"mail": LifecycleStatus.SUSPENDED, "docs": LifecycleStatus.ACTIVE}
    assert source_queues(rows, saved) == [
        SourceQueueRow("docs", LifecycleStatus.ACTIVE, 1, 1),
        SourceQueueRow("other", None, 0, 1),
        SourceQueueRow("mail", LifecycleStatus.SUSPENDED, 0, 0),
    ]
