"""A job's place in the queue of its data source."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.statuses import JobStatus


@dataclass(frozen=True)
class Place:
    """What a queued job waits for.

    Attributes:
        queue: The name of its queue.
        holders: The ids of the jobs that hold the slots.
        before: How many queued jobs start before it.
        reason: Why it is queued, in a sentence.
    """

    queue: str
    holders: tuple[str, ...]
    before: int
    reason: str


@mapped
def place_in_queue(job: Job) -> Place | None:
    """Return the job's place in its queue; None if it is not queued, or did not come to its queue yet."""
    if job.status is not JobStatus.QUEUED or not job.source:
        return None
    from prefect.client.orchestration import get_client

    from prefect_collect.runs.source_queue import SourceQueue
    from prefect_collect.runs.turn import waiting_reason

    queue = SourceQueue(job.kind, job.source)
    with get_client(sync_client=True) as client:
        queue_state = queue.read(client)
    run_id = UUID(job.id)
    if all(run.id != run_id for run in queue_state.waiting):
        return None
    holders = tuple(str(run.id) for run in queue_state.holding)
    return Place(queue.name, holders, queue_state.before(run_id), waiting_reason(queue_state, run_id))
