"""Finding jobs: their status in Prefect, their evidence in the staging store."""

from __future__ import annotations

import os
import time
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from prefect_collect.errors import CollectError, InvalidLocation, JobNotFound
from prefect_collect.flows.recover_attempts import place_of
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.stored_jobs import gone_from_prefect
from prefect_collect.runs.job_end import kind_of
from prefect_collect.statuses import JobKind, from_prefect_state, poll_delays, should_poll
from prefect_collect.stores import Store

StoreLike = Store | Block | str | os.PathLike[str] | dict[str, Any] | None


def opened(store: StoreLike, parameters: dict[str, Any] | None = None) -> Store:
    """The staging store that was named (or is referred to), else the one in a job's parameters, else the default."""
    if isinstance(store, Store):
        return store
    return place_of(store if store is not None else (parameters or {}).get("store"))


@mapped
def get(job_id: str | UUID, store: StoreLike = None) -> Job:
    """The job of that id. Raises JobNotFound, StoreError, PrefectUnavailable, PrefectError.

    A job whose run Prefect has no more is read from the staging store: with its recorded result, and the task status
    UNKNOWN.

    `store` is its staging store, needed only if it is not the one the job was started with.
    """
    with get_client(sync_client=True) as client:
        try:
            return job_of(client, read_run(client, job_id), store)
        except JobNotFound as error:
            folder = JobFolder(opened(store), str(job_id))
            if not folder.exists():
                raise error
            return gone_from_prefect(folder)


def read_run(client: SyncPrefectClient, job_id: str | UUID) -> FlowRun:
    """The flow run that the job is. Raises JobNotFound if there is none."""
    try:
        run_id = UUID(str(job_id))
    except ValueError as error:
        raise JobNotFound(
            f"A job's id looks like 0194c1b0-…, not {str(job_id)!r}. See the jobs with `prefect-collect jobs`."
        ) from error
    try:
        return client.read_flow_run(run_id)
    except ObjectNotFound as error:
        raise JobNotFound(f"Prefect has no flow run {run_id}. See the jobs with `prefect-collect jobs`.") from error


def job_of(client: SyncPrefectClient, run: FlowRun, store: StoreLike, kind: JobKind | None = None) -> Job:
    """The job that the run is. Raises JobNotFound if it is none, StoreError."""
    kind = kind or kind_of(client, run)
    if kind is None:
        name = client.read_flow(run.flow_id).name
        raise JobNotFound(f"Flow run {run.id} belongs to the flow {name!r}, which is no collection or export job.")
    folder = _folder(run, store)
    state = run.state
    moving = folder is not None and state is not None and state.is_running() and _moves_data(folder)
    type_, named = (None, None) if state is None else (state.type.value, state.name)
    statuses = from_prefect_state(kind, type_, named, moving_data=moving)
    return Job(
        id=str(run.id),
        kind=kind,
        name=run.name,
        status=statuses.job,
        task_status=statuses.task,
        message=(state and state.message) or "",
        created=run.created,
        place=folder,
        parameters=run.parameters,
        labels=run.labels,
    )


def _moves_data(folder: JobFolder) -> bool:
    """Whether the job has found items; no, if its store cannot say: its status is Prefect's to tell, all the same."""
    try:
        return folder.moves_data()
    except CollectError:
        return False


def _folder(run: FlowRun, store: StoreLike) -> JobFolder | None:
    """The job's folder; None if the store in its parameters cannot be opened any more."""
    try:
        return JobFolder(opened(store, run.parameters), str(run.id))
    except InvalidLocation:
        if store is not None:
            raise
        return None


@mapped
def wait(job_id: str | UUID, store: StoreLike = None, timeout: float | None = None) -> Job:
    """Wait until the job has a status at which the specification stops polling: looks after 1 s, 2 s, … 30 s.

    Raises TimeoutError after `timeout` seconds, JobNotFound, PrefectUnavailable, PrefectError.
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
