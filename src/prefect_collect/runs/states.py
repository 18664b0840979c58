"""States of a job's run, with the documented names."""

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
"""A queued job that holds no process looks for its turn by itself after this time, if no other job released it."""

_DRAFTED_FOR: Final = timedelta(days=36500)


def state_of(kind: JobKind, status: JobStatus, message: str = "", data: Any = None) -> State[Any]:
    """The Prefect state that stands for a status; its message is on one line."""
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
    """The end of a job that was not run on purpose."""
    return State(type=StateType(SKIPPED_STATE.type), name=SKIPPED_STATE.name, message=one_line(message), data=data)


def parked_state(kind: JobKind, message: str) -> State[Any]:
    """Queued, and not to be started before it is released."""
    state = state_of(kind, JobStatus.QUEUED, message)
    details = StateDetails.model_validate({"scheduled_time": server_now() + PARKED_FOR})
    return state.model_copy(update={"state_details": details})


def is_parked(run: FlowRun) -> bool:
    """Whether the run waits, without a process, to be released."""
    state = run.state
    if state is None or state.type is not StateType.SCHEDULED or state.name != str(JobStatus.QUEUED):
        return False
    due = state.state_details.scheduled_time
    return due is not None and due > server_now() + timedelta(seconds=30)


def put(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> None:
    """Set a state. Ours (require_step, the gate) decide what is allowed; Prefect's rules know less."""
    client.set_flow_run_state(run_id, state, force=True)


def put_unless_canceled(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> bool:
    """Set a state, and put back a cancellation that came just before it; say whether the state stands.

    The server sets one state after the other, so the run's history tells what was there, whoever was quicker.
    """
    put(client, run_id, state)
    before = history(client, run_id)[-2:-1]
    if before and before[0].type in (StateType.CANCELLING, StateType.CANCELLED):
        put(client, run_id, before[0])
        return False
    return True
