"""Seeing to jobs whose process is gone, and to all that a lost process left undone.

What a job has come to is read from its evidence. A job of a deployment is taken up again, up to three times; one that
ran in a person's own process is ended as what it has come to, and can be retried.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import takewhile
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.errors import CollectError
from prefect_collect.flows._evidence import close_lost, completed, note_recovered
from prefect_collect.flows._follow_up import awaiting_state, follow_up, is_awaiting, settle_export
from prefect_collect.processes import is_alive, is_gone
from prefect_collect.results import TaskResult
from prefect_collect.runs._after import job_ended, kind_of
from prefect_collect.runs._gate import leave, release_next, released_state
from prefect_collect.runs._line import all_lines, give_back_leaked
from prefect_collect.runs._lines import result_labels
from prefect_collect.runs._names import KIND_OF_FLOW
from prefect_collect.runs._notes import ATTEMPT, LEASE, RESUMED, note, noted, noted_process
from prefect_collect.runs._states import is_parked, put, state_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.tasks.telling import tell

MOST_RESUMES: Final = 3
"""How often a job is taken up again by itself."""

LOST_AFTER: Final = timedelta(seconds=90)
"""Without a sign of life for so long, a process on another machine counts as lost; it gives one every 15 s."""

STARTED_WITHIN: Final = timedelta(minutes=5)
"""A worker that took a run from the queue and did not start it within this time is taken for lost."""

_OPEN: Final = [
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
    StateType.SCHEDULED,
]
_CUT_OFF: Final = (StateType.CANCELLING, StateType.CANCELLED, StateType.CRASHED)
_NOT_STARTED: Final = (StateType.SCHEDULED, StateType.PENDING)
_WORKER_SAID: Final = "Flow run was cancelled successfully."
_UNSETTLED: Final = ["Crashed", "Cancelled"]
_PAGE: Final = 200
_ONE_BY_ONE: Final = threading.RLock()
"""A worker that reports a crash, and the looks at all jobs, are in one process where `serve` runs."""

_log = get_logger("prefect_collect")


def recover(client: SyncPrefectClient) -> list[str]:
    """See to every job once, and give what was done, a sentence each."""
    done: list[str] = []
    now = server_time(client)
    for run in _runs(client):
        try:
            if (said := _see_to(client, run, now)) is not None:
                done.append(f"{run.name} ({run.id}): {said}")
        except ObjectNotFound:
            continue  # deleted meanwhile
        except CollectError as error:
            _log.warning("Job %s cannot be seen to: %s", run.id, error)
    for line in all_lines(client):
        if give_back_leaked(client, line):
            done.append(f"{line.name}: gave back a slot that nobody holds.")
        done += [f"{line.name}: released {run_id}." for run_id in release_next(client, line)]
    return done


def job_crashed(client: SyncPrefectClient, run_id: UUID) -> None:
    """See to a job whose process was just lost."""
    try:
        run = client.read_flow_run(run_id)
        _see_to(client, run, server_time(client))
    except (ObjectNotFound, CollectError) as error:
        _log.warning("Job %s crashed and cannot be seen to yet: %s", run_id, error)


def server_time(client: SyncPrefectClient) -> datetime:
    """The server's clock, to a second."""
    answer = client.hello()
    date = answer.headers.get("date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)


def _runs(client: SyncPrefectClient) -> Iterator[FlowRun]:
    ours = FlowFilter(name=FlowFilterName(any_=list(KIND_OF_FLOW)))
    for state in (
        FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN)),
        FlowRunFilterState(name=FlowRunFilterStateName(any_=_UNSETTLED)),
    ):
        offset = 0
        while True:
            page = client.read_flow_runs(
                flow_filter=ours, flow_run_filter=FlowRunFilter(state=state), limit=_PAGE, offset=offset
            )
            yield from page
            if len(page) < _PAGE:
                break
            offset += _PAGE


def _see_to(client: SyncPrefectClient, run: FlowRun, now: datetime) -> str | None:
    if is_awaiting(run):
        settle_export(client, run)
        after = client.read_flow_run(run.id)
        return None if is_awaiting(after) else "its collection is done, or gone."
    if not _may_be_left(run, now):
        return None
    with _ONE_BY_ONE:
        return _settle(client, run, now)


def _settle(client: SyncPrefectClient, run: FlowRun, now: datetime) -> str | None:
    # What was read with many others is old by now: a new process may have taken the run up meanwhile.
    run = client.read_flow_run(run.id)
    kind = kind_of(client, run)
    if run.state is None or kind is None or not _may_be_left(run, now):
        return None
    if run.state.type is StateType.PENDING:
        put(client, run.id, released_state(kind))
        return "the worker that took it did not start it; it is queued again."
    if run.state.type is StateType.CANCELLING and not _is_lost(run, now) and not _awaited(client, run):
        return None
    if run.state.type in (StateType.CANCELLED, StateType.CANCELLING):
        return _settle_canceled(client, run, kind)
    if _is_late_report(client, run):
        put(client, run.id, released_state(kind))
        return "it was queued again already when its crash was reported."
    return _settle_lost(client, run, kind)


def _is_late_report(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the process of which a worker says that it crashed was seen to before: nothing was started since."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    return (
        len(states) > 1 and states[-1].is_crashed() and states[-2].type is StateType.SCHEDULED and not noted(run, LEASE)
    )


def _may_be_left(run: FlowRun, now: datetime) -> bool:
    """Whether the run looks as if no process saw to it any more."""
    state = run.state
    if state is None:
        return False
    if state.type is StateType.RUNNING:
        return _is_lost(run, now)
    if state.type is StateType.PAUSED:  # a draft, or a job that works all the same, which holds a slot
        return bool(noted(run, LEASE)) and _is_lost(run, now)
    if state.type is StateType.CANCELLED:  # Prefect says so after 300 s, whether or not the work has stopped
        return not noted(run, LEASE) or _is_lost(run, now)
    if state.type is StateType.PENDING:
        return run.deployment_id is not None and now - state.timestamp > STARTED_WITHIN
    if state.type is StateType.SCHEDULED:  # one without a deployment waits in its process
        return is_parked(run) and run.deployment_id is None and is_gone(noted_process(run.labels))
    return state.type in (StateType.CRASHED, StateType.CANCELLING)


def _is_lost(run: FlowRun, now: datetime) -> bool:
    """Whether the process that has the run is gone: surely so on this machine, without a sign of life elsewhere."""
    process = noted_process(run.labels)
    if is_gone(process):
        return True
    return not is_alive(process) and run.updated is not None and now - run.updated > LOST_AFTER


def _settle_canceled(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    """A cancellation that Prefect ended, or whose process did not live to end it: give it its name and its receipt."""
    if _is_late(client, run):
        put(client, run.id, released_state(kind))
        return "queued again: its worker said late that it had been canceled before it was started again."
    if _awaited(client, run):
        put(client, run.id, awaiting_state("An export that awaits its collection cannot be canceled, but deleted."))
        return "put back, as it awaits its collection."
    result = close_lost(run, canceled=True)
    if result is not None and not _is_of_this_round(client, run, result):
        result = None
    if result is not None and result.status is not JobStatus.CANCELED:
        if run.deployment_id is not None and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            return _resume(client, run, kind, counted=False)
        return _end(client, run, kind, result)
    message = "The job was canceled before anything was started." if result is None else result.message
    put(client, run.id, state_of(kind, JobStatus.CANCELED, message))
    note_recovered(run, JobStatus.CANCELED, message)
    tell(kind, JobStatus.CANCELED, run, message, result)
    job_ended(run.id, follow_up)
    return "canceled."


def _is_late(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a worker noted the end of an earlier cancellation on a job that was started again meanwhile.

    (3.8: `prefect.runner` sets Cancelled when the process has ended, whatever the state has become since.)
    """
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)[-2:]
    return len(states) > 1 and states[0].type in _NOT_STARTED and states[1].message == _WORKER_SAID


def _awaited(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run was canceled while it was an export that awaits its collection, which offers no such step."""
    before = _before_cancel(client, run)
    return bool(before) and before[-1].name == str(JobStatus.AWAITING_COLLECTION)


def _is_of_this_round(client: SyncPrefectClient, run: FlowRun, result: TaskResult) -> bool:
    """Whether the result is of an attempt since the job was started last, and not of an earlier one."""
    if noted(run, ATTEMPT) != str(result.attempt):
        return False
    since_end = takewhile(lambda state: not state.is_final(), reversed(_before_cancel(client, run)))
    return any(state.name == str(JobStatus.IN_PROGRESS) for state in since_end)


def _before_cancel(client: SyncPrefectClient, run: FlowRun) -> list[State[Any]]:
    """The run's states, oldest first, without those in which its process was lost or it was canceled at the end."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    while states and states[-1].type in _CUT_OFF:
        states.pop()
    return states


def _settle_lost(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    folder = completed(run)
    result = None if folder is None else folder.result()
    open_attempts = [] if folder is None else [n for n in folder.attempts() if n not in folder.closed_attempts()]
    if result is not None and not open_attempts and _is_of_this_round(client, run, result):
        return _end(client, run, kind, result)
    if run.deployment_id is not None and int(noted(run, RESUMED) or 0) < MOST_RESUMES:
        return _resume(client, run, kind, counted=True)
    result = close_lost(run, canceled=False)
    if result is None:
        message = "Its process was lost before it did anything; retry it."
        put(client, run.id, state_of(kind, JobStatus.FAILED, message))
        note_recovered(run, JobStatus.FAILED, message)
        tell(kind, JobStatus.FAILED, run, message)
        job_ended(run.id, follow_up)
        return "its process was lost before it did anything."
    return _end(client, run, kind, result)


def _resume(client: SyncPrefectClient, run: FlowRun, kind: JobKind, *, counted: bool) -> str:
    times = int(noted(run, RESUMED) or 0) + counted
    leave(client, run, keep_place=True)
    note(client, run.id, {RESUMED: str(times)})
    state = released_state(kind)
    state.message = (
        f"Its process was lost; it is taken up again where it was ({times} of {MOST_RESUMES} times)."
        if counted
        else "Its worker was shut down; it goes on where it was."
    )
    note_recovered(run, JobStatus.QUEUED, state.message)
    put(client, run.id, state)
    tell(kind, JobStatus.QUEUED, run, state.message)
    return state.message


def _end(client: SyncPrefectClient, run: FlowRun, kind: JobKind, result: TaskResult) -> str:
    """Give the run the state that its evidence says."""
    client.update_flow_run_labels(run.id, result_labels(result))
    put(client, run.id, state_of(kind, result.status, result.message))
    note_recovered(run, result.status, result.message)
    tell(kind, result.status, run, result.message, result)
    job_ended(run.id, follow_up)
    return f"{result.status}: {result.message}"
