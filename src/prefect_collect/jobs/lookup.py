"""Find a job: its status in Prefect, and its evidence in the staging store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect_collect.errors import CollectError, InvalidLocation, JobNotFound
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._stores import opened
from prefect_collect.jobs.stored_jobs import gone_from_prefect
from prefect_collect.runs.job_runs import JobRun, JobRuns, read_job_runs
from prefect_collect.statuses import JobKind, from_prefect_state, poll_delays, should_poll

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

    from prefect_collect.jobs._stores import StoreLike

_RUNNING: Final = "RUNNING"


@mapped
def get(job_id: str | UUID, store: StoreLike = None) -> Job:
    """Return the job of that id.

    A job whose run was deleted in Prefect is read from the staging store: with its recorded result, and the task status
    UNKNOWN.

    Args:
        job_id: The job's id.
        store: The job's staging store; needed only if it is not the one in the job's parameters, or not the default
            one for a job whose run was deleted.

    Raises:
        JobNotFound: Neither Prefect nor the store has the job.
        StoreError: The store cannot be read.
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    try:
        return read_job_runs(lambda runs: job_of(runs, _run(runs, job_id), store))
    except JobNotFound as error:
        folder = JobFolder(opened(store), str(job_id))
        if not folder.exists():
            raise error
        return gone_from_prefect(folder)


def read_run(client: SyncPrefectClient, job_id: str | UUID) -> FlowRun:
    """Return the job's flow run. Raise JobNotFound if there is none."""
    from prefect.exceptions import ObjectNotFound

    run_id = _uuid(job_id)
    try:
        return client.read_flow_run(run_id)
    except ObjectNotFound as error:
        raise _no_run(run_id) from error


def _run(runs: JobRuns, job_id: str | UUID) -> JobRun:
    """Return the job's run, as lists and looks need it. Raise JobNotFound if there is none."""
    run_id = _uuid(job_id)
    run = runs.run(run_id)
    if run is None:
        raise _no_run(run_id)
    return run


def _uuid(job_id: str | UUID) -> UUID:
    """Return a job's id as a UUID. Raise JobNotFound if it is not a UUID."""
    try:
        return UUID(str(job_id))
    except ValueError as error:
        raise JobNotFound(
            f"A job's id looks like 0194c1b0-…, not {str(job_id)!r}. List the jobs with `prefect-collect jobs`."
        ) from error


def _no_run(run_id: UUID) -> JobNotFound:
    return JobNotFound(f"There is no such job in Prefect; list the jobs with `prefect-collect jobs`. [job={run_id}]")


def job_of(runs: JobRuns, run: JobRun, store: StoreLike, kind: JobKind | None = None) -> Job:
    """Return the job of a run. Raise JobNotFound if the run is no job, StoreError if its store cannot be read."""
    kind = kind or runs.kind_of(run.flow_id)
    if kind is None:
        name = runs.flow_name(run.flow_id)
        raise JobNotFound(f"Flow run {run.id} is not a job: its flow {name!r} is no collection or export.")
    folder = _folder(run, store)
    moving = folder is not None and run.state_type == _RUNNING and _moves_data(folder)
    statuses = from_prefect_state(kind, run.state_type, run.state_name, moving_data=moving)
    return Job(
        id=str(run.id),
        kind=kind,
        name=run.name,
        status=statuses.job,
        task_status=statuses.task,
        message=run.message,
        created=run.created,
        place=folder,
        parameters=run.parameters,
        labels=run.labels,
        has_deployment=run.has_deployment,
    )


def _moves_data(folder: JobFolder) -> bool:
    """Return whether the job has found items; False if its store cannot be read, as the status is Prefect's anyway."""
    try:
        return folder.moves_data()
    except CollectError:
        return False


def _folder(run: JobRun, store: StoreLike) -> JobFolder | None:
    """Return the job's folder; None if the store in its parameters cannot be opened any more."""
    try:
        return JobFolder(opened(store, run.parameters), str(run.id))
    except InvalidLocation:
        if store is not None:
            raise
        return None


@mapped
def wait(job_id: str | UUID, store: StoreLike = None, timeout: float | None = None) -> Job:
    """Wait until the job has a status at which the specification stops polling, and return the job.

    The job is read again after 1 s, 2 s, … up to every 30 s.

    Args:
        job_id: The job's id.
        store: The job's staging store, as for `get`.
        timeout: The most seconds to wait; None for no limit.

    Raises:
        TimeoutError: The time is over.
        JobNotFound: There is no such job.
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    started = time.monotonic()
    for delay in poll_delays():
        job = get(job_id, store)
        if not should_poll(job.task_status):
            return job
        left = None if timeout is None else started + timeout - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(f"The job is still {job.status} after {timeout:g} s. [job={job_id}]")
        time.sleep(delay if left is None else min(delay, left))
    raise CollectError("unreachable")
