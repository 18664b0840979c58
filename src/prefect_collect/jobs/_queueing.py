"""A job's place in the queue of its data source."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import get_client

from prefect_collect.jobs._job import Job
from prefect_collect.jobs._mapping import mapped
from prefect_collect.runs._line import Line
from prefect_collect.statuses import JobStatus


@dataclass(frozen=True)
class Place:
    """What a queued job waits for: the ids of the jobs that hold the slots, and how many are before it."""

    queue: str
    holders: tuple[str, ...]
    before: int


@mapped
def place_in_queue(job: Job) -> Place | None:
    """The job's place in its queue; None if it is not queued, or did not come to its queue yet."""
    if job.status is not JobStatus.QUEUED or not job.source:
        return None
    line = Line(job.kind, job.source)
    with get_client(sync_client=True) as client:
        standing = line.read(client)
    run_id = UUID(job.id)
    if all(run.id != run_id for run in standing.waiting):
        return None
    return Place(line.name, tuple(str(run.id) for run in standing.holding), standing.before(run_id))
