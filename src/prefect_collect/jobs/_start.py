"""Moving a job on: Start and Retry, by a worker if one is there, else in this process."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import Abort

from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import ActionNotAllowed, AttemptSuperseded, CollectError, JobNotFound, UsageError
from prefect_collect.flows import collect, export
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.engine import run_job
from prefect_collect.flows.exports_here import run_here
from prefect_collect.flows.settling import settle
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.custody_rules import require_whole
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import StoreLike, get, read_run
from prefect_collect.runs.deployment_lookup import deployment_of, is_served
from prefect_collect.runs.labels import (
    CANCELED_BY,
    LEASE,
    label_of,
    process_labels,
    process_of,
    set_labels,
    without_process,
)
from prefect_collect.runs.queries import is_planned
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put
from prefect_collect.runs.turn import join_queue, leave_queue, released_state
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus, require_step
from prefect_collect.storable import require_storable

_UNDER_WAY: Final = (JobStatus.IN_PROGRESS, JobStatus.QUEUED)


@mapped
def retry(
    job_id: str | UUID, *, only: str | os.PathLike[str] | None = None, store: StoreLike = None, here: bool | None = None
) -> Job:
    """Have another attempt work on what has not succeeded yet, and return the job as it is then.

    A job of a deployment that a `serve` or a worker looks after is queued for it; any other is run in this process to
    its end. `here` decides otherwise. `only` is an error report (Parquet or CSV, a path or URL), to work on exactly its
    rows. A job that is In progress or Queued only because its process is gone is settled first: it ends as what it has
    come to, or is queued again for a worker. If it does not offer Retry then, that was all, and it is returned. One
    that is Queued, but neither has a process nor a worker that would start it, is run in this process. A store that is
    named as a block takes the place of the one the job was started with. Raises ActionNotAllowed, JobNotFound, and
    UsageError if the report cannot be read, or has rows that are not this job's; the job is then left as it is.
    """
    if only is None:
        return _again(job_id, NextStep.RETRY, store, {}, here)
    require_storable(only, "only")
    reported_items(os.fspath(only))
    return _again(job_id, NextStep.RETRY, store, {"only": os.path.abspath(only) if _is_path(only) else only}, here)


def _is_path(location: str | os.PathLike[str]) -> bool:
    return "://" not in os.fspath(location)


@mapped
def start(job_id: str | UUID, *, store: StoreLike = None, here: bool | None = None) -> Job:
    """Start a draft, or a canceled job to take up what is missing; where it runs is decided as for `retry`.

    One whose process is gone is settled first, as by `retry`. Raises ActionNotAllowed, JobNotFound.
    """
    return _again(job_id, NextStep.START, store, {}, here)


@mapped
def has_worker(job: Job) -> bool:
    """Whether a `serve` or a worker looks for runs of the job's deployment."""
    with get_client(sync_client=True) as client:
        return _is_served(client, job)


def _is_served(client: SyncPrefectClient, job: Job) -> bool:
    deployment = deployment_of(client, read_run(client, job.id))
    return deployment is not None and is_served(deployment)


def _again(job_id: str | UUID, step: NextStep, store: StoreLike, changed: dict[str, Any], here: bool | None) -> Job:
    job = get(job_id, store)
    settled = job.status in _UNDER_WAY and _settled(job)
    if settled:
        job = get(job_id, store)
    if job.status is None:
        raise ActionNotAllowed(f"Prefect cannot say what status the job has, so it cannot be moved on. [job={job.id}]")
    if here is False or not _is_stranded(job):
        if settled and step not in job.next_steps:
            return job
        require_step(job.kind, job.status, step)
    if job.task_status is TaskStatus.UNKNOWN:
        raise ActionNotAllowed(
            f"The job is {job.status}, but Prefect has no run of it any more that could be run again; start a new job. "
            f"[job={job.id}]"
        )
    if changed and job.kind is JobKind.EXPORT:
        raise UsageError(f"An export proves all items again at each attempt, so it takes no report. [job={job.id}]")
    if job.parameters.get("only") is not None:  # of a retry whose process died before the job was queued
        changed = {"only": None, **changed}
    _require_evidence(job)
    if changed.get("only") is not None:
        reported_items(changed["only"], job.folder)
    job.folder.require_idle()
    if isinstance(store, Block):
        changed = {**changed, "store": {"$ref": {"block_document_id": str(saved(store))}}}
    with get_client(sync_client=True) as client:
        if changed:
            client.update_flow_run(UUID(job.id), parameters={**job.parameters, **changed})
        _leave_lost(client, read_run(client, job.id))
        by_worker = _is_served(client, job) if here is None else not here
        _record_asked(job, step, changed.get("only"))
        set_labels(client, UUID(job.id), {**(without_process() if by_worker else process_labels()), CANCELED_BY: ""})
        _queue(client, job)
    if not by_worker:
        _run_here(job)
    return get(job_id, store)


def _leave_lost(client: SyncPrefectClient, run: FlowRun) -> None:
    """Give back the slot that a process which is gone could not: what it noted of itself is written over now."""
    if label_of(run, LEASE) and is_gone(process_of(run.labels)):
        leave_queue(client, run)


def _is_stranded(job: Job) -> bool:
    """Whether the job is queued for good: no process waits with it, and no worker looks for it."""
    if job.status is not JobStatus.QUEUED or job.task_status is TaskStatus.UNKNOWN:
        return False
    with get_client(sync_client=True) as client:
        run = read_run(client, job.id)
        if run.state is None or run.state.type is not StateType.SCHEDULED or is_planned(run):
            return False
        process = process_of(run.labels)
        held = label_of(run, LEASE) or (any(process.values()) and not is_gone(process))
        return not held and not _is_served(client, job)


def _record_asked(job: Job, step: NextStep, report: object) -> None:
    """Have the custody log say who asked for the step; a store that cannot be written to ends the job itself."""
    with suppress(CollectError):
        custody_log.append(
            job.folder, f"{step.value.lower()}-requested", {} if report is None else {"report": str(report)}
        )


def _settled(job: Job) -> bool:
    """Whether no process sees to the job any more, and it was ended, or queued again for a worker, for that."""
    with get_client(sync_client=True) as client:
        set_clock(client)
        return settle(client, UUID(job.id), server_now()) is not None


def _queue(client: SyncPrefectClient, job: Job) -> None:
    """Queued, and at once at its place in the queue of its source, if that is known."""
    if job.source:
        # A worker takes it as soon as it is due, and what it tells is to come after this.
        join_queue(client, read_run(client, job.id), SourceQueue(job.kind, job.source))
        publish_status(job.kind, JobStatus.QUEUED, read_run(client, job.id))
    put(client, UUID(job.id), released_state(job.kind))


def _run_here(job: Job) -> None:
    flow: Any = collect if job.kind is JobKind.COLLECTION else export
    with get_client(sync_client=True) as client:
        run = read_run(client, job.id)
    try:
        with run_here():
            run_job(flow, run, return_type="state")
    except Abort as error:
        raise AttemptSuperseded(str(error)) from error


def _require_evidence(job: Job) -> None:
    """Raise JobNotFound if the job has collected or exported something, but not into this staging store; EvidenceError
    if its custody log is damaged, or does not vouch for what the earlier attempts left: that is taken over.

    A failed or canceled one may have ended before it had a folder.
    """
    if job.status is JobStatus.PARTIALLY_COMPLETED and not job.folder.exists():
        raise JobNotFound(
            f"The job's evidence is not in the staging store {job.folder.store.url}; name the store it is in. "
            f"[job={job.id}]"
        )
    closed = job.folder.closed_attempts()
    if closed:
        vouched(job.folder, closed[-1], enter=False).require_attempt(closed[-1])
    else:
        require_whole(job.folder)
