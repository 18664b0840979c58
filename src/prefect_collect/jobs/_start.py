"""Start and retry a job: by a worker if its deployment has one, else in this process."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort

from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import ActionNotAllowed, AttemptSuperseded, CollectError, JobNotFound, UsageError
from prefect_collect.flows import collect, export
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.exports_here import run_here
from prefect_collect.flows.running_job import run_job
from prefect_collect.flows.settling import settle
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.custody_rules import require_whole
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.job_folder.selections import is_selection
from prefect_collect.jobs._changed_settings import RetrySettings
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import get, read_run
from prefect_collect.runs.deployment_lookup import deployment_of, deployments, is_served
from prefect_collect.runs.labels import (
    CANCELED_BY,
    LEASE,
    label_of,
    process_of,
    set_labels,
    without_process,
)
from prefect_collect.runs.queries import is_planned
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import claimed_state, put
from prefect_collect.runs.turn import claim, join_queue, leave_queue, released_state
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus, require_step
from prefect_collect.storable import require_storable

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike

_AS_THE_JOB: Final = RetrySettings()
_UNDER_WAY: Final = (JobStatus.IN_PROGRESS, JobStatus.QUEUED)


@mapped
def retry(
    job_id: str | UUID, *, only: str | os.PathLike[str] | None = None, store: StoreLike = None,
    here: bool | None = None, allow_private: bool = False, tolerated_failure_percentage: float | None = None,
    concurrency: int | None = None,
) -> Job:  # fmt: skip
    """Start another attempt on the items that have not succeeded yet, and return the job's new state.

    A job whose deployment has a worker (or `serve`) is queued for it; any other job is run to its end in this process.

    A job that is In progress or Queued although its process is gone is settled first: it ends with the status of what
    it has done, or it is queued again for a worker. If it does not offer Retry then, it is returned like that. A job
    that is Queued, but has no process and no worker that would start it, is run in this process.

    Args:
        job_id: The job's id.
        only: An error report (Parquet or CSV, a path or URL), or what `save_selection` returned: the attempt works on
            exactly its items.
        store: The job's staging store, if it is not the one in the job's parameters. A block replaces that one.
        here: True to run the job in this process, False to queue it for a worker.
        allow_private: True: from now on a list of URLs may lead to private addresses; else as the job has it.
        tolerated_failure_percentage: The share of failed items at which it stops, from now on; None: as the job has it.
        concurrency: How many small items of a shard to read at once, from now on; None: as the job has it.

    Raises:
        ActionNotAllowed: The job's status does not offer Retry, or no worker could run it: its run has no deployment.
        JobNotFound: There is no such job, or its evidence is not in the store.
        UsageError: The report cannot be read, or has rows that are not this job's, or a setting cannot be changed; the
            job is not changed.
    """
    changed: dict[str, Any] = {}
    if only is not None:
        require_storable(only, "only")
        if not is_selection(os.fspath(only)):  # a selection can be read only in the job's folder
            reported_items(os.fspath(only))
        changed = {"only": os.path.abspath(only) if _is_path(only) else only}
    settings = RetrySettings(allow_private, tolerated_failure_percentage, concurrency)
    return _again(job_id, NextStep.RETRY, store, changed, here, settings)


def _is_path(location: str | os.PathLike[str]) -> bool:
    return "://" not in os.fspath(location) and not is_selection(os.fspath(location))


@mapped
def start(job_id: str | UUID, *, store: StoreLike = None, here: bool | None = None) -> Job:
    """Start a draft, or resume a canceled job, and return the job's new state.

    Where it runs, and what happens to a job whose process is gone, is as for `retry`.

    Args:
        job_id: The job's id.
        store: The job's staging store, if it is not the one in the job's parameters. A block replaces that one.
        here: True to run the job in this process, False to queue it for a worker.

    Raises:
        ActionNotAllowed: The job's status does not offer Start, or no worker could run it: its run has no deployment.
        JobNotFound: There is no such job, or its evidence is not in the store.
    """
    return _again(job_id, NextStep.START, store, {}, here)


@mapped
def has_worker(job: Job | JobKind) -> bool:
    """Return whether a job's deployment, or the preferred one for a new job of that kind, has a worker or a `serve`."""
    with get_client(sync_client=True) as client:
        if isinstance(job, JobKind):
            return any(is_served(one) for one in deployments(client, job))
        return _is_served(client, read_run(client, job.id))


def _is_served(client: SyncPrefectClient, run: FlowRun) -> bool:
    deployment = deployment_of(client, run)
    return deployment is not None and is_served(deployment)


def _again(
    job_id: str | UUID, step: NextStep, store: StoreLike, changed: dict[str, Any], here: bool | None,
    settings: RetrySettings = _AS_THE_JOB,
) -> Job:  # fmt: skip
    job = get(job_id, store)
    settled = job.status in _UNDER_WAY and _settled(job)
    if settled:
        job = get(job_id, store)
    if job.status is None:
        raise ActionNotAllowed(
            f"The job's status in Prefect is not known, so it cannot be started again; start a new job. [job={job.id}]"
        )
    if here is False or not _is_stranded(job):
        if settled and step not in job.next_steps:
            return job
        require_step(job.kind, job.status, step)
    if job.task_status is TaskStatus.UNKNOWN:
        raise ActionNotAllowed(
            f"The job is {job.status}, but its run was deleted in Prefect, so it cannot be run again; start a new job. "
            f"[job={job.id}]"
        )
    if here is False and job.only_by_command:
        raise ActionNotAllowed(f"{job.only_by_command} [job={job.id}]")
    if changed and job.kind is JobKind.EXPORT:
        raise UsageError(
            f"An export proves all items in each attempt, so it cannot be limited to a report. [job={job.id}]"
        )
    if job.parameters.get("only") is not None:  # left by a retry whose process died before the job was queued
        changed = {"only": None, **changed}
    _require_evidence(job)
    if changed.get("only") is not None:
        reported_items(changed["only"], job.folder)
    job.folder.require_idle()
    changed = {**changed, **settings.parameters(job)}
    if isinstance(store, Block):
        changed = {**changed, "store": {"$ref": {"block_document_id": str(saved(store))}}}
    with get_client(sync_client=True) as client:
        if changed:
            client.update_flow_run(UUID(job.id), parameters={**job.parameters, **changed})
        run = read_run(client, job.id)
        _leave_lost(client, run)
        by_worker = _is_served(client, run) if here is None else not here
    _record_asked(job, step, changed.get("only"), settings)
    run_or_queue(job, by_worker=by_worker)
    return get(job_id, store)


def run_or_queue(job: Job, *, by_worker: bool) -> None:
    """Queue a job, for a worker or to be run to its end in this process."""
    with get_client(sync_client=True) as client:
        if by_worker:
            set_labels(client, UUID(job.id), {**without_process(), CANCELED_BY: ""})
        else:
            claim(client, UUID(job.id))
        _queue(client, job, released_state(job.kind) if by_worker else claimed_state(job.kind))
    if not by_worker:
        _run_here(job)


def _leave_lost(client: SyncPrefectClient, run: FlowRun) -> None:
    """Give back the slot of a process that is gone, before the labels that name that process are overwritten."""
    if label_of(run, LEASE) and is_gone(process_of(run.labels)):
        leave_queue(client, run)


def _is_stranded(job: Job) -> bool:
    """Return whether the job is queued but would never start: no process waits with it, and it has no worker."""
    if job.status is not JobStatus.QUEUED or job.task_status is TaskStatus.UNKNOWN:
        return False
    with get_client(sync_client=True) as client:
        run = read_run(client, job.id)
        if run.state is None or run.state.type is not StateType.SCHEDULED or is_planned(run):
            return False
        process = process_of(run.labels)
        held = label_of(run, LEASE) or (any(process.values()) and not is_gone(process))
        return not held and not _is_served(client, run)


def _record_asked(job: Job, step: NextStep, report: object, settings: RetrySettings) -> None:
    """Record in the custody log who asked for the step; if the store cannot be written to, the job itself fails."""
    details: dict[str, Any] = {} if report is None else {"report": str(report)}
    details |= {"settings": settings.given} if settings.given else {}
    with suppress(CollectError):
        custody_log.append(job.folder, f"{step.value.lower()}-requested", details)


def _settled(job: Job) -> bool:
    """Settle the job if its process is gone: end it, or queue it again; return whether that was done."""
    with get_client(sync_client=True) as client:
        set_clock(client)
        return settle(client, UUID(job.id), server_now()) is not None


def _queue(client: SyncPrefectClient, job: Job, queued: State[Any]) -> None:
    """Set the job's state to Queued, and put it at its place in the queue of its source, if the source is known."""
    if job.source:
        # A worker starts the run as soon as it is due, and the statuses that it publishes must come after this one.
        run = read_run(client, job.id)
        join_queue(client, run, SourceQueue(job.kind, job.source))
        publish_status(job.kind, JobStatus.QUEUED, run)
    put(client, UUID(job.id), queued)


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
    """Check that the job's earlier attempts can be continued.

    A failed or canceled job may have ended before it had a folder, so that one may be missing.

    Raises:
        JobNotFound: The job has partially completed, but not into this staging store.
        EvidenceError: The custody log is damaged, or does not vouch for the files of the earlier attempts.
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
