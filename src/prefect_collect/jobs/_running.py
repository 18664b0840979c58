"""Moving a job on: Retry what ended, Start what was canceled, in this process."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow

from prefect_collect.errors import ActionNotAllowed, AttemptSuperseded, JobNotFound, UsageError
from prefect_collect.flows import collect, export
from prefect_collect.flows._job_flow import labelled_process, process_labels, saved
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._reading import StoreLike, get, read_run
from prefect_collect.processes import is_gone
from prefect_collect.reports import reported_items
from prefect_collect.statuses import JobKind, JobStatus, NextStep, require_step, to_prefect_state


def retry(job_id: str | UUID, *, only: str | os.PathLike[str] | None = None, store: StoreLike = None) -> Job:
    """Run another attempt, in this process, that works on what has not succeeded yet, and return the job as it is then.

    `only` is an error report (Parquet or CSV, a path or URL), to work on exactly its rows. A job that is In progress
    only because its process on this machine was killed is taken up again. A store that is named as a block takes the
    place of the one the job was started with. Raises ActionNotAllowed, JobNotFound, and UsageError if the report cannot
    be read; the job is then left as it is.
    """
    if only is None:
        return _again(job_id, NextStep.RETRY, store, {})
    reported_items(os.fspath(only))
    return _again(job_id, NextStep.RETRY, store, {"only": os.fspath(only)})


def start(job_id: str | UUID, *, store: StoreLike = None) -> Job:
    """Start a canceled job again, in this process, to take up what is missing. Raises ActionNotAllowed, JobNotFound."""
    return _again(job_id, NextStep.START, store, {})


def _again(job_id: str | UUID, step: NextStep, store: StoreLike, changed: dict[str, Any]) -> Job:
    job = get(job_id, store)
    if job.status in (JobStatus.IN_PROGRESS, JobStatus.QUEUED) and _process_is_gone(job):
        _set_state(job, State(type=StateType.CRASHED, name="Crashed", message="The process that ran the job is gone."))
        job = get(job_id, store)
    if job.status is None:
        raise ActionNotAllowed(f"Prefect cannot say what status the job has, so it cannot be moved on. [job={job.id}]")
    require_step(job.kind, job.status, step)
    flow: Any = collect if job.kind is JobKind.COLLECTION else export
    if changed and job.kind is JobKind.EXPORT:
        raise UsageError(f"An export proves all items again at each attempt, so it takes no report. [job={job.id}]")
    _require_evidence(job)
    job.folder.require_idle()
    queued = to_prefect_state(job.kind, JobStatus.QUEUED)
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(job.id), process_labels())
        if isinstance(store, Block):
            named = {"$ref": {"block_document_id": str(saved(store))}}
            client.update_flow_run(UUID(job.id), parameters={**job.parameters, "store": named})
        _set_state(job, State(type=StateType(queued.type), name=queued.name))
        run = read_run(client, job.id)
    try:
        run_flow(flow, flow_run=run, parameters={**run.parameters, **changed}, return_type="state")
    except Abort as error:
        raise AttemptSuperseded(str(error)) from error
    return get(job_id, store)


def _set_state(job: Job, state: State[Any]) -> None:
    """Set a state that Prefect's rules would not let a run without a deployment go to; ours (require_step) allow it."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(job.id), state, force=True)


def _process_is_gone(job: Job) -> bool:
    """Whether the process that took the job up is known to have ended; each notes itself before it does anything."""
    return is_gone(labelled_process(job.labels))


def _require_evidence(job: Job) -> None:
    """Raise JobNotFound if the job has collected or exported something, but not into this staging store.

    A failed or canceled one may have ended before it had a folder.
    """
    if job.status is JobStatus.PARTIALLY_COMPLETED and not job.folder.exists():
        raise JobNotFound(
            f"The job's evidence is not in the staging store {job.folder.store.url}; name the store it is in. "
            f"[job={job.id}]"
        )
