"""Judge a job's run from its labels and its history of states: whether its process is lost, or it was canceled."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType

from prefect_collect.job_folder.process_identity import is_alive, is_gone
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.labels import ATTEMPT, CANCELED_BY, LEASE, label_of, process_of
from prefect_collect.runs.lease import LEASE_SECONDS
from prefect_collect.runs.queries import history
from prefect_collect.runs.states import is_claimed
from prefect_collect.statuses import JobStatus

LOST_AFTER: Final = timedelta(seconds=LEASE_SECONDS)
"""The time without a sign of life after which a process on another machine counts as lost; it gives one every 15 s.

It is not longer than the lease of the slot, which is renewed with it: so the job has ended, or is queued again, when
its slot goes to the next job.
"""

STARTED_WITHIN: Final = timedelta(minutes=5)
"""The time after which a worker that has claimed a run, but not started it, counts as lost."""

PROVIDED_WITHIN: Final = timedelta(hours=1)
"""The same time for a worker that waits for its infrastructure, such as a large image on Kubernetes."""

OWNED_WITHIN: Final = timedelta(seconds=5)
"""The time after which a canceled run without an owner is settled; a process that starts later sees the cancel."""

SET_BY_HAND: Final = "Completed"
"""The name of the state when a user sets a run to Completed in Prefect's UI; no job ends with it by itself."""

_CUT_OFF: Final = (StateType.CANCELLING, StateType.CANCELLED, StateType.CRASHED)
_NOT_STARTED: Final = (StateType.SCHEDULED, StateType.PENDING)
_WORKER_MESSAGE: Final = "Flow run was cancelled successfully."


def is_late_crash_report(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether a worker reports the crash of a process that was settled before, and no process started since."""
    if label_of(run, LEASE) or process_of(run.labels).get("pid"):
        return False
    states = history(client, run.id)
    return len(states) > 1 and states[-1].is_crashed() and states[-2].type is StateType.SCHEDULED


def may_be_left(run: FlowRun, now: datetime) -> bool:
    """Return whether the run may be unowned: its state and labels show no process that still works on it."""
    state = run.state
    if state is None:
        return False
    if state.type is StateType.RUNNING:  # the labels name the process already: see `running_job._ownership`
        return is_lost(run, now)
    if state.type is StateType.PAUSED:  # a draft, or a paused job, which works all the same and holds a slot
        return bool(label_of(run, LEASE)) and is_lost(run, now)
    if state.type is StateType.CANCELLED:  # Prefect sets it after 300 s, whether or not the work has stopped
        if not label_of(run, LEASE):  # with the job's own status and no slot, its process has ended it in order
            return state.name != str(JobStatus.CANCELED)
        return is_lost(run, now)
    if state.type is StateType.PENDING:
        if run.deployment_id is None or is_claimed(run):
            return is_lost(run, now)
        within = PROVIDED_WITHIN if state.name == "InfrastructurePending" else STARTED_WITHIN
        return now - state.timestamp > within
    if state.type is StateType.SCHEDULED:  # one without a deployment waits in its process
        return run.deployment_id is None and is_lost(run, now)
    if state.type is StateType.COMPLETED:
        return state.name == SET_BY_HAND and (not label_of(run, LEASE) or is_lost(run, now))
    return state.type in (StateType.CRASHED, StateType.CANCELLING)


def is_lost(run: FlowRun, now: datetime) -> bool:
    """Return whether the run's process is gone; a process on another machine is judged by its last sign of life.

    A run without an owner counts as lost if it has not changed for `LOST_AFTER`.
    """
    process = process_of(run.labels)
    if is_gone(process):
        return True
    return not is_alive(process) and run.updated is not None and now - run.updated > LOST_AFTER


def is_unowned(run: FlowRun, now: datetime) -> bool:
    """Return whether a canceled run never had an owner, and has had time to get one."""
    unowned = not process_of(run.labels).get("pid")
    return unowned and run.state is not None and now - run.state.timestamp > OWNED_WITHIN


def has_moved(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the run's state has changed since it was read."""
    present = client.read_flow_run(run.id).state
    return present is None or run.state is None or present.id != run.state.id


def is_late_cancel_report(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether a worker reported an earlier cancellation late, on a job that was started again meanwhile.

    Prefect's runner sets Cancelled when the process has ended, whatever the state is by then (3.8: `prefect.runner`).
    """
    states = history(client, run.id)[-2:]
    return len(states) > 1 and states[0].type in _NOT_STARTED and states[1].message == _WORKER_MESSAGE


def unstarted(client: SyncPrefectClient, run: FlowRun) -> JobStatus | None:
    """Return the status of a draft, or of an export that awaits its collection, that was ended before it began."""
    before = before_cancel(client, run)
    name = before[-1].name if before else None
    return next((one for one in (JobStatus.DRAFTED, JobStatus.AWAITING_COLLECTION) if name == str(one)), None)


def is_of_this_start(client: SyncPrefectClient, run: FlowRun, result: TaskResult) -> bool:
    """Return whether the result belongs to an attempt that was claimed after the job was last started."""
    if label_of(run, ATTEMPT) != str(result.attempt):
        return False
    since_end = takewhile(lambda state: not state.is_final(), reversed(before_cancel(client, run)))
    return any(state.name == str(JobStatus.IN_PROGRESS) for state in since_end)


def is_asked_to_cancel(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the run was asked to cancel since it was started last."""
    ends = takewhile(lambda state: state.type in _CUT_OFF, reversed(history(client, run.id)))
    return bool(label_of(run, CANCELED_BY)) or any(state.type is not StateType.CRASHED for state in ends)


def before_cancel(client: SyncPrefectClient, run: FlowRun) -> list[State[Any]]:
    """Return the run's states, oldest first, without those at the end that crashed, canceled or ended it by hand."""
    states = history(client, run.id)
    while states and (states[-1].type in _CUT_OFF or states[-1].name == SET_BY_HAND):
        states.pop()
    return states
