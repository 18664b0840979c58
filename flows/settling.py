"""Settle one job whose process is gone, or which was canceled without a process.

The job's result is read from its evidence. A job of a deployment is resumed, up to three times; a job that ran in a
user's own process ends with that result, and can be retried.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.errors import EvidenceError, JobNotFound
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.lost_runs import (
    has_moved,
    is_asked_to_cancel,
    is_late_cancel_report,
    is_late_crash_report,
    is_lost,
    is_of_this_start,
    is_unowned,
    may_be_left,
    unstarted,
)
from prefect_collect.flows.recover_attempts import close_lost, completed, note_recovered
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.deployment_lookup import deployment_of, is_served
from prefect_collect.runs.job_end import job_ended, kind_of
from prefect_collect.runs.labels import (
    ATTEMPT,
    CANCELED_BY,
    RESUMED,
    WORKER,
    label,
    label_of,
    set_labels,
    without_process,
)
from prefect_collect.runs.result_labels import result_labels
from prefect_collect.runs.server_clock import server_now
from prefect_collect.runs.states import is_claimed, put, state_of
from prefect_collect.runs.turn import PLACE, leave_queue, released_state
from prefect_collect.statuses import JobKind, JobStatus, next_steps

MOST_RESUMES: Final = 3
"""How often a job is resumed automatically."""

_HANDLED: Final = "another process handles it."

_ONE_BY_ONE: Final = threading.RLock()
"""One job is settled at a time: under `serve`, one thread handles crashes and another one checks all jobs."""


def settle(client: SyncPrefectClient, run_id: UUID, now: datetime) -> str | None:
    """Settle the job if it is unowned, and return in a sentence what was done; None if nothing was.

    Raise JobNotFound, StoreError.
    """
    with _ONE_BY_ONE:
        try:
            return _settle(client, run_id, now)
        except EvidenceError as error:
            return _give_up(client, run_id, error)


def cancel_lost(client: SyncPrefectClient, run_id: UUID) -> None:
    """End a job that is In progress and whose process is lost: as Canceled, or with the result that it already has.

    Raise StoreError.
    """
    with _ONE_BY_ONE:
        run = client.read_flow_run(run_id)
        kind = kind_of(client, run)
        if kind is None:
            return
        try:
            _settle_canceled(client, run, kind)
        except EvidenceError as error:
            _give_up(client, run_id, error)


def _give_up(client: SyncPrefectClient, run_id: UUID, error: EvidenceError) -> str | None:
    """End a job whose evidence cannot be read: as Canceled if that was asked for, else as Failed.

    A job that another process has started meanwhile is left alone.
    """
    run = client.read_flow_run(run_id)
    kind = kind_of(client, run)
    if kind is None or run.state is None or not _is_left(client, run, server_now()):
        return None
    canceled = run.state.type in (StateType.CANCELLED, StateType.CANCELLING) or label_of(run, CANCELED_BY)
    status = JobStatus.CANCELED if canceled else JobStatus.FAILED
    return _put_end(client, run, kind, status, f"Its process was lost, and what it left cannot be read. {error}")


def _settle(client: SyncPrefectClient, run_id: UUID, now: datetime) -> str | None:
    # The run was read with many others, and a new process may have started it since.
    run = client.read_flow_run(run_id)
    kind = kind_of(client, run)
    if run.state is None or kind is None or not _is_left(client, run, now):
        return None
    if run.state.type is StateType.PENDING and run.deployment_id is not None:
        if claimed := is_claimed(run):
            set_labels(client, run.id, without_process())
        put(client, run.id, released_state(kind))
        return f"the {'process' if claimed else 'worker'} that took it did not start it; it is queued again."
    if run.state.type is StateType.COMPLETED:
        return _settle_set_by_hand(client, run, kind)
    if run.state.type in (StateType.CANCELLED, StateType.CANCELLING):
        return _settle_canceled(client, run, kind)
    if run.state.type is StateType.CRASHED and (status := unstarted(client, run)) is not None:
        return _put_back(client, run, kind, status)
    if is_late_crash_report(client, run):
        put(client, run.id, released_state(kind))
        return "it was queued again already when its crash was reported."
    return _settle_lost(client, run, kind)


def _is_left(client: SyncPrefectClient, run: FlowRun, now: datetime) -> bool:
    """Return whether no process works on the run, in the state in which it was read.

    A process that ends in order sets the run's last state before it is gone. So a run whose process was seen to be gone
    is read once more: a state set since then is the job's, and stands.
    """
    if not may_be_left(run, now):
        return False
    is_canceling = run.state is not None and run.state.type is StateType.CANCELLING
    if is_canceling and not (is_lost(run, now) or is_unowned(run, now) or unstarted(client, run)):
        return False
    return not has_moved(client, run)


def _settle_canceled(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    """Give a canceled run its documented status and its receipt, where its process was lost or Prefect ended it."""
    if is_late_cancel_report(client, run):
        put(client, run.id, released_state(kind))
        return "queued again: its worker said late that it had been canceled before it was started again."
    if (status := unstarted(client, run)) is not None:
        return _put_back(client, run, kind, status)
    result = close_lost(run, canceled=True)
    if result is not None and not is_of_this_start(client, run, result):
        result = None
    if result is not None and result.status is not JobStatus.CANCELED:
        if _goes_on(client, run) and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            return _resume(client, run, kind, counted=False)
        return _end(client, run, kind, result)
    message = "The job was canceled before anything was started." if result is None else result.message
    return _put_end(client, run, kind, JobStatus.CANCELED, message, result, said="canceled.")


def _settle_set_by_hand(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    """Give a job that a user set to Completed in Prefect the status that its evidence says."""
    if (status := unstarted(client, run)) is not None:
        return _put_back(client, run, kind, status)
    result = close_lost(run, canceled=False)
    if result is not None:
        return _end(client, run, kind, result)
    return _put_end(client, run, kind, JobStatus.FAILED, "It was set to Completed in Prefect, but nothing was run.")


def _put_back(client: SyncPrefectClient, run: FlowRun, kind: JobKind, status: JobStatus) -> str:
    """Give a job that has not begun the status that it had, as that status offers no step that ends the job."""
    steps = " and ".join(str(step) for step in next_steps(kind, status))
    message = f"Put back: while the {kind.value} is {status}, it offers {steps}."
    if status is JobStatus.AWAITING_COLLECTION:
        message += " It starts by itself when its collection is completed."
    put(client, run.id, state_of(kind, status, message))
    publish_status(kind, status, run, message)
    return message


def _settle_lost(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    folder = completed(run)
    result = None if folder is None else folder.result()
    open_attempts = [] if folder is None else [n for n in folder.attempts() if n not in folder.closed_attempts()]
    if result is not None and not open_attempts and is_of_this_start(client, run, result):
        # Canceled although no user asked for it: a worker was shut down, and the items being read were cut off.
        cut_off = result.status is JobStatus.CANCELED and not is_asked_to_cancel(client, run)
        if cut_off and _goes_on(client, run):
            return _resume(client, run, kind, counted=False)
        return _end(client, run, kind, result)
    if label_of(run, CANCELED_BY):
        return _settle_canceled(client, run, kind)
    if _goes_on(client, run) and int(label_of(run, RESUMED) or 0) < MOST_RESUMES:
        return _resume(client, run, kind, counted=True)
    if folder is None and label_of(run, ATTEMPT):
        raise JobNotFound(f"Its staging store is not within reach from here. [job={run.id}]")
    result = close_lost(run, canceled=False)
    if result is None:
        message = "Its process was lost before it did anything; retry it."
        return _put_end(client, run, kind, JobStatus.FAILED, message)
    return _end(client, run, kind, result)


def _put_end(
    client: SyncPrefectClient,
    run: FlowRun,
    kind: JobKind,
    status: JobStatus,
    message: str,
    result: TaskResult | None = None,
    *,
    said: str = "",
) -> str:
    """Set the final state in place of the lost process, publish it, and start what waits for it.

    Return the sentence what was done: `said`, by default the message.
    """
    if has_moved(client, run):
        return _HANDLED
    if result is not None:
        label(client, run.id, result_labels(result))
    put(client, run.id, state_of(kind, status, message))
    note_recovered(run, status, message)
    publish_status(kind, status, run, message, result)
    job_ended(run.id, follow_up, show_places)
    return said or message


def _goes_on(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether a worker would start the job again: one has started it before, or one polls its deployment."""
    if run.deployment_id is None:
        return False
    deployment = deployment_of(client, run)
    return deployment is not None and (label_of(run, WORKER) == "yes" or is_served(deployment))


def _resume(client: SyncPrefectClient, run: FlowRun, kind: JobKind, *, counted: bool) -> str:
    if has_moved(client, run):
        return _HANDLED
    times = int(label_of(run, RESUMED) or 0) + counted
    state = released_state(kind)
    state.message = (
        f"Its process was lost; it resumes where it was ({times} of {MOST_RESUMES} times)."
        if counted
        else "Its worker was shut down; it goes on where it was."
    )
    note_recovered(run, JobStatus.QUEUED, state.message)
    publish_status(kind, JobStatus.QUEUED, run, state.message, occasion=run.state_id)
    leave_queue(client, run, keep=PLACE, labels={RESUMED: str(times)}, state=state)
    return state.message


def _end(client: SyncPrefectClient, run: FlowRun, kind: JobKind, result: TaskResult) -> str:
    """Give the run the final state of its result."""
    said = f"{result.status}: {result.message}"
    return _put_end(client, run, kind, result.status, result.message, result, said=said)
