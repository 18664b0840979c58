"""The Prefect states of a job's run, with the documented names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType

from prefect_collect.escaping import one_line
from prefect_collect.runs.queries import history
from prefect_collect.runs.server_clock import server_now
from prefect_collect.statuses import SKIPPED_STATE, JobKind, JobStatus, to_prefect_state

PARKED_FOR: Final = timedelta(hours=1)
"""The time after which a parked job is started to check for its turn, if no other job released it before."""

_DRAFTED_FOR: Final = timedelta(days=36500)


def state_of(kind: JobKind, status: JobStatus, message: str = "", data: Any = None) -> State[Any]:
    """Return the Prefect state that stands for a job status, with its message as one line."""
    wanted = to_prefect_state(kind, status)
    details: dict[str, Any] = {}
    if status is JobStatus.DRAFTED:
        details = {"pause_reschedule": True, "pause_timeout": server_now() + _DRAFTED_FOR}
    elif status is JobStatus.QUEUED:
        details = {"scheduled_time": server_now()}
    return State(
        type=StateType(wanted.type),
        name=wanted.name,
        message=one_line(message) or None,
        data=data,
        state_details=StateDetails.model_validate(details),
    )


def skipped_state(message: str, data: Any = None) -> State[Any]:
    """Return the final state of a job that was skipped on purpose."""
    return State(type=StateType(SKIPPED_STATE.type), name=SKIPPED_STATE.name, message=one_line(message), data=data)


def parked_state(kind: JobKind, message: str) -> State[Any]:
    """Return the state Queued of a run that waits without a process; it is not started before it is released."""
    state = state_of(kind, JobStatus.QUEUED, message)
    details = StateDetails.model_validate({"scheduled_time": server_now() + PARKED_FOR})
    return state.model_copy(update={"state_details": details})


def claimed_state(kind: JobKind, message: str = "Its process is about to start it.") -> State[Any]:
    """Return the state Queued of a run with a deployment that a process has claimed: no worker takes it.

    A worker takes a run that is Scheduled and due, so this one is Pending.
    """
    state = state_of(kind, JobStatus.QUEUED, message)
    return state.model_copy(update={"type": StateType.PENDING, "state_details": StateDetails()})


def is_claimed(run: FlowRun) -> bool:
    """Return whether a process has claimed the run: it is about to start it, or waits with it for its turn."""
    state = run.state
    return state is not None and state.type is StateType.PENDING and state.name == str(JobStatus.QUEUED)


def is_parked(run: FlowRun) -> bool:
    """Return whether the run waits, without a process, to be released."""
    state = run.state
    if state is None or state.type is not StateType.SCHEDULED or state.name != str(JobStatus.QUEUED):
        return False
    due = state.state_details.scheduled_time
    return due is not None and due > server_now() + timedelta(seconds=30)


def put(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> None:
    """Set a state by force: `require_step` and the queue decide what is allowed, not Prefect's orchestration rules."""
    client.set_flow_run_state(run_id, state, force=True)


def put_unless_canceled(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> bool:
    """Set a state, unless a cancellation came just before it; return whether the state was kept.

    The server sets states one after the other, so the run's history shows a cancellation that this state replaced. It
    is then set again.
    """
    put(client, run_id, state)
    before = history(client, run_id)[-2:-1]
    if before and before[0].type in (StateType.CANCELLING, StateType.CANCELLED):
        put(client, run_id, before[0])
        return False
    return True
