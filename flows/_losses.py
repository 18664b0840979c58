"""How a job's run looks: whether its process is lost, and what its history of states says."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType

from prefect_collect.processes import is_alive, is_gone
from prefect_collect.results import TaskResult
from prefect_collect.runs._notes import ATTEMPT, LEASE, noted, noted_process
from prefect_collect.runs._reading import history
from prefect_collect.statuses import JobStatus

LOST_AFTER: Final = timedelta(seconds=90)
"""Without a sign of life for so long, a process on another machine counts as lost; it gives one every 15 s."""

STARTED_WITHIN: Final = timedelta(minutes=5)
"""A worker that took a run from the queue and did not start it within this time is taken for lost."""

PROVIDED_WITHIN: Final = timedelta(hours=1)
"""The same for a worker that waits for its infrastructure, as for a large image on Kubernetes."""

TAKEN_UP_WITHIN: Final = timedelta(seconds=5)
"""A canceled run that no process has taken up by then is nobody's; one that does later sees that it was canceled."""

_CUT_OFF: Final = (StateType.CANCELLING, StateType.CANCELLED, StateType.CRASHED)
_NOT_STARTED: Final = (StateType.SCHEDULED, StateType.PENDING)
_WORKER_SAID: Final = "Flow run was cancelled successfully."


def is_late_report(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the process of which a worker says that it crashed was seen to before: nothing was started since."""
    if noted(run, LEASE) or noted_process(run.labels).get("pid"):
        return False
    states = history(client, run.id)
    return len(states) > 1 and states[-1].is_crashed() and states[-2].type is StateType.SCHEDULED


def may_be_left(run: FlowRun, now: datetime) -> bool:
    """Whether the run looks as if no process saw to it any more."""
    state = run.state
    if state is None:
        return False
    if state.type is StateType.RUNNING:
        return is_lost(run, now)
    if state.type is StateType.PAUSED:  # a draft, or a job that works all the same, which holds a slot
        return bool(noted(run, LEASE)) and is_lost(run, now)
    if state.type is StateType.CANCELLED:  # Prefect says so after 300 s, whether or not the work has stopped
        return not noted(run, LEASE) or is_lost(run, now)
    if state.type is StateType.PENDING:
        within = PROVIDED_WITHIN if state.name == "InfrastructurePending" else STARTED_WITHIN
        return run.deployment_id is not None and now - state.timestamp > within
    if state.type is StateType.SCHEDULED:  # one without a deployment waits in its process
        return run.deployment_id is None and is_lost(run, now)
    return state.type in (StateType.CRASHED, StateType.CANCELLING)


def is_lost(run: FlowRun, now: datetime) -> bool:
    """Whether the process that has the run is gone: surely so on this machine, without a sign of life elsewhere."""
    process = noted_process(run.labels)
    if is_gone(process):
        return True
    return not is_alive(process) and run.updated is not None and now - run.updated > LOST_AFTER


def is_nobodys(run: FlowRun, now: datetime) -> bool:
    """Whether the run was canceled before any process had taken it up, and none has since."""
    nobody = not noted_process(run.labels).get("pid")
    return nobody and run.state is not None and now - run.state.timestamp > TAKEN_UP_WITHIN


def is_late(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a worker noted the end of an earlier cancellation on a job that was started again meanwhile.

    (3.8: `prefect.runner` sets Cancelled when the process has ended, whatever the state has become since.)
    """
    states = history(client, run.id)[-2:]
    return len(states) > 1 and states[0].type in _NOT_STARTED and states[1].message == _WORKER_SAID


def awaited(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run was canceled while it was an export that awaits its collection, which offers no such step."""
    before = before_cancel(client, run)
    return bool(before) and before[-1].name == str(JobStatus.AWAITING_COLLECTION)


def is_of_this_round(client: SyncPrefectClient, run: FlowRun, result: TaskResult) -> bool:
    """Whether the result is of an attempt since the job was started last, and not of an earlier one."""
    if noted(run, ATTEMPT) != str(result.attempt):
        return False
    since_end = takewhile(lambda state: not state.is_final(), reversed(before_cancel(client, run)))
    return any(state.name == str(JobStatus.IN_PROGRESS) for state in since_end)


def before_cancel(client: SyncPrefectClient, run: FlowRun) -> list[State[Any]]:
    """The run's states, oldest first, without those in which its process was lost or it was canceled at the end."""
    states = history(client, run.id)
    while states and states[-1].type in _CUT_OFF:
        states.pop()
    return states
