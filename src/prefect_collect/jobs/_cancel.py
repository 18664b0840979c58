"""Cancel and delete a job."""

from __future__ import annotations

from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

from prefect_collect.artifacts.publish import publish_status
from prefect_collect.codes import CANCELED
from prefect_collect.collecting.incremental import needed_by
from prefect_collect.errors import ActionNotAllowed, CollectError, JobNotFound, PrefectUnavailable
from prefect_collect.flows.auto_exports import exports_of, follow_up, is_awaiting
from prefect_collect.flows.lost_runs import is_lost
from prefect_collect.flows.settling import cancel_lost
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.job_folder.long_queries import discard
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import get, read_run
from prefect_collect.runs.job_end import forget, job_ended
from prefect_collect.runs.labels import CANCELED_BY, LEASE, label_of, set_labels
from prefect_collect.runs.queries import status_of
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.session import session_of
from prefect_collect.runs.states import put, state_of
from prefect_collect.statuses import JobKind, JobStatus, NextStep, require_step

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike

_BUSY: Final = (JobStatus.QUEUED, JobStatus.IN_PROGRESS)
_TRIES: Final = 5
_MOMENT: Final = 0.2
"""Seconds in which the server completes an update of labels that it began before."""


@mapped
def cancel(job_id: str | UUID, *, store: StoreLike = None) -> Job:
    """Cancel a job that is Queued or In progress, and return its new state.

    A queued job is Canceled at once. A job in progress is asked to stop: it becomes Canceled within seconds, when it
    has stopped, and its message says what was kept; `wait` waits for that. A job whose process is gone ends at once: as
    Canceled, or with the status of its result if its work was done.

    Args:
        job_id: The job's id.
        store: The job's staging store; needed only if it is not the one in the job's parameters.

    Raises:
        ActionNotAllowed: The job cannot be canceled, or it has just ended.
        JobNotFound: There is no such job.
    """
    job = get(job_id, store)
    _require(job, NextStep.CANCEL)
    run_id, who = UUID(job.id), operator()
    with suppress(CollectError):
        custody_log.append(job.folder, "cancel-requested")
    with get_client(sync_client=True) as client:
        set_clock(client)
        before = read_run(client, run_id)
        lost = is_lost(before, server_now())  # setting a label below looks like a sign of life
        run = _asked_to_stop(client, run_id, who)
        status = status_of(job.kind, run)
        if status not in _BUSY:
            if status is not JobStatus.CANCELED:
                raise ActionNotAllowed(f"The job ended as {status} just before it was to be canceled. [job={job.id}]")
        elif status is JobStatus.QUEUED and not label_of(run, LEASE):
            message = f"Canceled by {who} before it was started."
            put(client, run_id, state_of(job.kind, JobStatus.CANCELED, message))
            publish_status(job.kind, JobStatus.CANCELED, run, message)
            if (waiting := session_of(run_id)) is not None:
                waiting.stop.set(CANCELED)
            else:
                job_ended(run_id, follow_up)
        elif lost and run.state_id == before.state_id:  # else it was settled, and perhaps started again, meanwhile
            cancel_lost(client, run_id)
    return get(job_id, store)


def _asked_to_stop(client: SyncPrefectClient, run_id: UUID, who: str) -> FlowRun:
    """Set the label that says who cancels, and return the run as it is then; the label stays only on an unfinished run.

    Prefect's server merges labels without a lock (3.8: `prefect.server.models.flow_runs.update_flow_run_labels`), so
    that a label that the job's process sets at the same moment may undo this one. It is then set again.
    """
    for _ in range(_TRIES):
        set_labels(client, run_id, {CANCELED_BY: who})
        sleep(_MOMENT)
        run = read_run(client, run_id)
        if run.state is not None and run.state.is_final():
            if label_of(run, CANCELED_BY):
                set_labels(client, run_id, {CANCELED_BY: ""})
            return run
        if label_of(run, CANCELED_BY):
            return run
    raise PrefectUnavailable(f"Prefect's server did not keep the request to cancel the job; try again. [job={run_id}]")


@mapped
def delete(job_id: str | UUID, *, store: StoreLike = None) -> tuple[str, ...]:
    """Delete a job: its run in Prefect, and its folder in the staging store except the custody log's last entry.

    Packages that it delivered stay where they are. Exports that await the collection are deleted with it; return their
    ids. A job without a status, because Prefect has no run of it, can be deleted if no process works on it
    (`Job.abandoned`).

    Args:
        job_id: The job's id.
        store: The job's staging store; needed only if it is not the one in the job's parameters.

    Raises:
        ActionNotAllowed: The job cannot be deleted in its status, or another job still needs it.
        JobNotFound: There is no such job.
    """
    job = get(job_id, store)
    _require(job, NextStep.DELETE)
    with get_client(sync_client=True) as client:
        return remove(client, job)


def remove(client: SyncPrefectClient, job: Job) -> tuple[str, ...]:
    """Delete a job as `delete` does, whatever its status. Raise ActionNotAllowed if another job still needs it."""
    exports = exports_of(client, UUID(job.id)) if job.kind is JobKind.COLLECTION else []
    busy = [f"{run.id} is {status}" for run in exports if (status := status_of(JobKind.EXPORT, run)) in _BUSY]
    if busy:
        raise ActionNotAllowed(
            f"The collection is still being exported: {', '.join(busy)}; wait for it, or cancel it. [job={job.id}]"
        )
    _require_not_needed(job)
    if job.place is not None and next(iter(job.place.store.list(f"{job.id}/")), None) is not None:
        remove_job(job.place)
    if job.place is not None:
        discard(job.place.store, job.parameters.get("query"))
    awaiting = tuple(str(run.id) for run in exports if is_awaiting(run))
    for export in awaiting:
        with suppress(JobNotFound):  # another process deleted it
            remove(client, get(export))
    forget(client, UUID(job.id))
    return awaiting


def _require(job: Job, step: NextStep) -> None:
    if job.status is not None:
        require_step(job.kind, job.status, step)
    elif step not in job.next_steps:
        why = f" {job.message}" if job.message else ""
        raise ActionNotAllowed(f"The status of the job is not known, so it was not changed.{why} [job={job.id}]")


def _require_not_needed(job: Job) -> None:
    if job.kind is not JobKind.COLLECTION or job.place is None or not job.place.exists():
        return
    others = needed_by(job.place.store, job.id)
    if others:
        raise ActionNotAllowed(
            f"Job {others[0]} is incremental to this one and refers to items that this one holds; delete {others[0]} "
            f"first. [job={job.id}]"
        )
