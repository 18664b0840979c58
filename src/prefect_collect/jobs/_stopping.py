"""Cancel and Delete."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import ObjectNotFound

from prefect_collect import custody
from prefect_collect.errors import ActionNotAllowed, CollectError
from prefect_collect.flows._follow_up import exports_of, fail_deleted, follow_up, is_awaiting
from prefect_collect.jobfolder import operator
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._mapping import mapped
from prefect_collect.jobs._reading import StoreLike, get, read_run
from prefect_collect.jobs._running import job_lost
from prefect_collect.processes import is_gone
from prefect_collect.removal import remove_job
from prefect_collect.runs._after import forget, job_ended
from prefect_collect.runs._notes import CANCELED_BY, LEASE, note, noted, noted_process
from prefect_collect.runs._states import put, state_of
from prefect_collect.since import needed_by
from prefect_collect.statuses import JobKind, JobStatus, NextStep, from_prefect_state, require_step
from prefect_collect.tasks.telling import tell

_BUSY = (JobStatus.QUEUED, JobStatus.IN_PROGRESS)


@mapped
def cancel(job_id: str | UUID, *, store: StoreLike = None) -> Job:
    """Cancel a job that is Queued or In progress, and return it as it is then.

    A queued job is Canceled at once. One in progress is asked to stop: it is Canceled when it has stopped, within
    seconds, with a receipt of what was kept; `wait` waits for that. Raises ActionNotAllowed, JobNotFound.
    """
    job = get(job_id, store)
    _require(job, NextStep.CANCEL)
    run_id, who = UUID(job.id), operator()
    with suppress(CollectError):
        custody.append(job.folder, "cancel-requested")
    with get_client(sync_client=True) as client:
        run = read_run(client, run_id)
        note(client, run_id, {CANCELED_BY: who})
        if job.status is JobStatus.QUEUED and not noted(run, LEASE):
            message = f"Canceled by {who} before it was started."
            put(client, run_id, state_of(job.kind, JobStatus.CANCELED, message))
            tell(job.kind, JobStatus.CANCELED, run, message)
            job_ended(run_id, follow_up)
        elif is_gone(noted_process(run.labels)):
            job_lost(client, job, canceled=True)
    return get(job_id, store)


@mapped
def delete(job_id: str | UUID, *, store: StoreLike = None) -> None:
    """Delete a job: its runs in Prefect, and its folder in the staging store but for the custody log's last entry.

    Packages that it delivered stay where they are. An export that awaits it becomes Failed (`collection_deleted`).
    Raises ActionNotAllowed, also while another job still needs this one; JobNotFound.
    """
    job = get(job_id, store)
    _require(job, NextStep.DELETE)
    with get_client(sync_client=True) as client:
        waiting = exports_of(client, UUID(job.id)) if job.kind is JobKind.COLLECTION else []
        for run in waiting:
            status = from_prefect_state(JobKind.EXPORT, run.state_type and run.state_type.value, run.state_name).job
            if status in _BUSY:
                raise ActionNotAllowed(
                    f"Export {run.id} is {status} and needs this collection; wait for it, or cancel it. [job={job.id}]"
                )
        _require_not_needed(job)
        for run in waiting:
            if is_awaiting(run):
                fail_deleted(client, run)
        if job.place is not None and next(iter(job.place.store.list(f"{job.id}/")), None) is not None:
            remove_job(job.place)
        _remove_artifacts(client, UUID(job.id))
        forget(client, UUID(job.id))


def _require(job: Job, step: NextStep) -> None:
    if job.status is None:
        raise ActionNotAllowed(f"Nobody can say what status the job has, so it is left as it is. [job={job.id}]")
    require_step(job.kind, job.status, step)


def _require_not_needed(job: Job) -> None:
    if job.kind is not JobKind.COLLECTION or job.place is None or not job.place.exists():
        return
    others = needed_by(job.place.store, job.id)
    if others:
        raise ActionNotAllowed(
            f"Job {others[0]} collected only what is new since this one, and refers to what this one holds; delete "
            f"that one first. [job={job.id}]"
        )


def _remove_artifacts(client: SyncPrefectClient, run_id: UUID) -> None:
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    for artifact in client.read_artifacts(artifact_filter=only):
        with suppress(ObjectNotFound):
            client.delete_artifact(artifact.id)
