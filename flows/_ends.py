"""The state in which a job ends, where Prefect's engine has not set it, or has set another."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State

from prefect_collect.errors import JobCanceled, JobFailed
from prefect_collect.flows.recover_attempts import result_now
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.session import Session
from prefect_collect.runs.states import put, state_of
from prefect_collect.statuses import JobKind, JobStatus


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
    """Set a final state whatever the run's state has become, and keep it for whoever called the job."""
    put(client, run_id, state)
    if session is not None:
        session.ended = state


def put_told(client: SyncPrefectClient, run: FlowRun, kind: JobKind, session: Session | None) -> bool:
    """Set the state in which the job's flow has ended, or that was told already and is what the job has come to.

    Return whether there is one.
    """
    if session is None or session.told is None:
        return False
    state = session.final
    if state is None:
        stands = result_now(run, session.attempt, "")
        if stands is None or stands[0].status is not session.told:
            return False
        state = end_of(kind, stands[0], stands[0].message)
    put_end(client, run.id, state, session)
    return True


def is_told(session: Session | None, state: State[Any]) -> bool:
    """Return whether that is the state in which the job's flow has ended in this process."""
    final = None if session is None else session.final
    return final is not None and (state.type, state.name, state.message) == (final.type, final.name, final.message)


def keep_settled(client: SyncPrefectClient, run_id: UUID, kind: JobKind, session: Session) -> None:
    """Keep the state in which a job was settled for whoever called it, if it is that of its result."""
    run = client.read_flow_run(run_id)
    stands = result_now(run, session.attempt, "")
    if stands is not None and run.state is not None and run.state.name == str(stands[0].status):
        session.ended = end_of(kind, stands[0], run.state.message or "")
        session.ended.state_details.flow_run_id = run_id
