"""The final states of jobs, and how to set them where Prefect's engine has set none, or another one."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.errors import CollectError, JobCanceled, JobFailed
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.recover_attempts import result_now
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.job_end import job_ended
from prefect_collect.runs.refusals import prefect_error
from prefect_collect.runs.session import Session
from prefect_collect.runs.states import put, state_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores.os_errors import store_error

SNAPSHOT_EVERY: Final = 5.0
"""Jobs that end within this many seconds share one update of the snapshot."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def end_of(kind: JobKind, result: TaskResult, message: str) -> State[Any]:
    """Return the final state of a job with that result, which it holds.

    The state of a failed or canceled job holds the exception that Prefect raises when the flow's result is read.
    """
    data: Any = result
    if result.status is JobStatus.FAILED:
        data = JobFailed(result.message, result=result)
    elif result.status is JobStatus.CANCELED:
        data = JobCanceled(result.message, result=result)
    return state_of(kind, result.status, message, data)


def put_end(client: SyncPrefectClient, run_id: UUID, state: State[Any], session: Session | None) -> None:
    """Set a final state whatever the run's present state is, and keep it for the caller of the job."""
    put(client, run_id, state)
    if session is not None:
        session.ended = state


def put_published_end(client: SyncPrefectClient, run: FlowRun, kind: JobKind, session: Session | None) -> bool:
    """Set the final state of a job whose final status was published, and return whether there is one.

    It is the state that the job's flow returned; if there is none, the state of the job's result, provided that it
    has the published status.
    """
    if session is None or session.published is None:
        return False
    state = session.final
    if state is None:
        stands = result_now(run, session.attempt, "")
        if stands is None or stands[0].status is not session.published:
            return False
        state = end_of(kind, stands[0], stands[0].message)
    put_end(client, run.id, state, session)
    return True


def is_published(session: Session | None, state: State[Any]) -> bool:
    """Return whether that is the state in which the job's flow has ended in this process."""
    final = None if session is None else session.final
    return final is not None and (state.type, state.name, state.message) == (final.type, final.name, final.message)


def keep_settled(client: SyncPrefectClient, run_id: UUID, kind: JobKind, session: Session) -> None:
    """Keep the state in which a job was settled for its caller, if it is that of the job's result."""
    run = client.read_flow_run(run_id)
    stands = result_now(run, session.attempt, "")
    if stands is not None and run.state is not None and run.state.name == str(stands[0].status):
        session.ended = end_of(kind, stands[0], run.state.message or "")
        session.ended.state_details.flow_run_id = run_id


def refusal_of(error: Exception) -> CollectError | None:
    """Return the error for a job that cannot run because Prefect refused a request, or a folder is full; else None."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return store_error(error, os.fspath(error.filename or tempfile.gettempdir()))
    found = prefect_error(error)
    return None if found is None or found.transient else found


def put_without_hooks(run_id: UUID, state: State[Any]) -> None:
    """Set a final state, and do what Prefect's hooks do for other states.

    Prefect calls no hook for a run that ends as canceled (3.8: `FlowRunEngine.call_hooks`).
    """
    refresh_snapshot(SNAPSHOT_EVERY)
    with get_client(sync_client=True) as client:
        # The client writes the run's id into the state that it sends, and Prefect rejects the state for other uses.
        details = state.state_details.model_copy()
        put(client, run_id, state.model_copy(update={"data": None, "state_details": details}))
    job_ended(run_id, follow_up, show_places)


class PutBack(Exception):
    """The run was started although its status does not allow it; carries the state to put it back to."""

    def __init__(self, state: State[Any]) -> None:
        super().__init__(state.message)
        self.state = state
