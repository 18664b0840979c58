"""Wait for a job's turn: jobs of one kind on one data source run one at a time, in the order of their queue.

A run that a worker started ends its process while it waits. It is parked (see `states.parked_state`), and the job of
the queue that ends next releases it. A job that was called in a process waits in that process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Pause

from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.runs.labels import (
    BEAT,
    CANCELED_BY,
    LEASE,
    LEFT,
    QUEUED,
    RESUMED,
    SOURCE,
    WORKER,
    label_of,
    label_run,
    process_labels,
    process_of,
    set_labels,
    tag,
    without_process,
)
from prefect_collect.runs.leaked_slots import give_back_deleted
from prefect_collect.runs.lease import renew
from prefect_collect.runs.names import TAG
from prefect_collect.runs.queries import history
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.source_queue import QueueState, SourceQueue, give_back
from prefect_collect.runs.states import (
    claimed_state,
    is_parked,
    parked_state,
    put,
    put_unless_canceled,
    state_of,
)
from prefect_collect.statuses import JobKind, JobStatus

LOOK_EVERY: Final = 1.0
"""Seconds between two looks of a job that waits in its process."""

_BEGINS: Final = {StateType.PAUSED, StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}


def in_infrastructure(run_id: UUID) -> bool:
    """Return whether a worker or `serve` started this process for the run, and would start another when it is due."""
    return os.environ.get("PREFECT__FLOW_RUN_ID", "") == str(run_id)


def join_queue(
    client: SyncPrefectClient, run: FlowRun, queue: SourceQueue, states: list[State[Any]] | None = None
) -> None:
    """Put the run in its queue, at the place that its queueing time gives it.

    Args:
        client: Prefect's client.
        run: The run; its tags and labels change with those in Prefect.
        queue: The queue.
        states: The states that the run has had, oldest first, if they are known.
    """
    tag(client, run, queue.name, TAG)
    if not label_of(run, QUEUED) or label_of(run, SOURCE) != queue.source:
        since = label_of(run, QUEUED) or _queued_since(history(client, run.id) if states is None else states)
        label_run(client, run, {SOURCE: queue.source, QUEUED: since})


def _queued_since(states: list[State[Any]]) -> str:
    """Return when a run was queued (server's clock, ISO 8601), after it was last created, started or ended."""
    since = None
    for state in states:
        if state.type in _BEGINS or state.name == str(JobStatus.AWAITING_COLLECTION):
            since = None
        elif since is None:
            due = state.state_details.scheduled_time
            since = max(state.timestamp, due) if due is not None else state.timestamp
    return (since or server_now()).astimezone(UTC).isoformat()


def claim(client: SyncPrefectClient, run_id: UUID) -> None:
    """Label the run as this process's, which is about to start it: its state is then `claimed_state`."""
    set_clock(client)
    beat = {BEAT: server_now().isoformat()}
    set_labels(client, run_id, {**process_labels(), **beat, WORKER: "", CANCELED_BY: ""})


def wait_for_turn(
    client: SyncPrefectClient,
    run: FlowRun,
    queue: SourceQueue,
    stopped: Callable[[float], bool],
    waiting: Callable[[str], None],
    recover_holders: Callable[[QueueState], None],
) -> str:
    """Wait for the run's turn, and return the lease of its slot; "" if the job was stopped meanwhile.

    Args:
        client: Prefect's client.
        run: The job's run.
        queue: The queue that the run has joined.
        stopped: Waits for so many seconds, and returns whether the job is to stop.
        waiting: Called with the reason for the wait, whenever that changes.
        recover_holders: Called with the queue's state if a run that holds a slot seems lost, or a slot is taken by no
            running job: no other job starts before that is settled.

    Raises:
        Pause: The run was parked, with the state in the exception, and the process is to end.
    """

    def attempted() -> tuple[str | None, QueueState]:
        queue_state = queue.read(client)
        if give_back_deleted(client, queue, queue_state):
            queue_state = queue.read(client)
        if queue_state.lapsed or queue_state.unheld or any(_is_abandoned(holder) for holder in queue_state.holding):
            recover_holders(queue_state)
            queue_state = queue.read(client)
        return _take(client, run, queue, queue_state), queue_state

    lease, queue_state = attempted()
    if lease is not None:
        return lease
    message = waiting_reason(queue_state, run.id)
    if in_infrastructure(run.id):
        state = parked_state(queue.kind, message)
        if stopped(0) or not put_unless_canceled(client, run.id, state):
            return ""
        # A slot that came free before the run was parked was not offered to any job.
        lease, _ = attempted()
        if lease is not None:
            return lease
        if label_of(client.read_flow_run(run.id), CANCELED_BY):  # the user still saw it In progress
            return ""
        raise Pause("The job is queued.", state=state)
    # A worker of its deployment must not take it, nor the end of another job release it.
    waits = parked_state if run.deployment_id is None else claimed_state
    if not put_unless_canceled(client, run.id, waits(queue.kind, message)):
        return ""
    said = ""
    while lease is None:
        if message != said:
            waiting(message)
            said = message
        if stopped(LOOK_EVERY):
            return ""
        try:
            lease, queue_state = attempted()
        except httpx.TransportError as error:
            message = f"Prefect's server does not answer, so the job waits on: {error}"
        else:
            message = waiting_reason(queue_state, run.id)
    return lease


def _is_abandoned(run: FlowRun) -> bool:
    """Return whether the run's process is gone, and no worker would notice that."""
    return label_of(run, WORKER) != "yes" and is_gone(process_of(run.labels))


def _take(client: SyncPrefectClient, run: FlowRun, queue: SourceQueue, queue_state: QueueState) -> str | None:
    lease = queue.take(client, run.id) if queue_state.may_start(run.id) else None
    if lease is not None:
        set_labels(client, run.id, {LEASE: lease})
    return lease


def waiting_reason(queue_state: QueueState, run_id: UUID) -> str:
    """Return why the job is queued, in a sentence: who holds the slot, and how many are before it.

    The state's message, the job's page, the command line and `jobs.place_in_queue` all say it.
    """
    if queue_state.limit == 0:
        return "The data source's concurrency limit is 0, so nothing is started on it; raise it in Prefect."
    if queue_state.may_start(run_id):
        return "Its turn has come; it starts as soon as a process takes it."
    holding = [run for run in queue_state.holding if run.id != run_id]
    held = ", ".join(f"{run.name} ({str(run.id)[:8]})" for run in holding[:3]) or "another job of the same data source"
    before = queue_state.before(run_id)
    ahead = f"{before} before it in the queue" if before else "it is the next"
    return f"Waiting for {held}; {ahead}."


PLACE: Final = (QUEUED, RESUMED, CANCELED_BY)
"""The labels that a job keeps when another process is to continue it."""


def leave_queue(
    client: SyncPrefectClient,
    run: FlowRun,
    *,
    lease: str = "",
    keep: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
    state: State[None] | None = None,
) -> bool:
    """Take the run out of its queue, and give its slot back.

    Args:
        client: Prefect's client.
        run: The job's run.
        lease: The lease of its slot, if this process knows it; by default the one in the run's label.
        keep: The labels to keep of those that make its place in the queue.
        labels: More labels to set.
        state: A state to set before the slot is free, so that a run that keeps its place is not overtaken.

    Returns:
        False if the server has forgotten the lease, so that it may still count the slot as taken.
    """
    # The server merges labels without a lock, so that one of two concurrent updates may be lost.
    lease = lease or label_of(run, LEASE)
    known = not lease or renew(client, lease)
    names = [name for name in (LEASE, QUEUED, RESUMED, CANCELED_BY) if name not in keep]
    try:
        # The next process sets its labels a moment after the state Running: it must not be taken for this one.
        left = {LEFT: lease} if lease else {}
        set_labels(client, run.id, {**without_process(), **dict.fromkeys(names, ""), **left, **(labels or {})})
        if state is not None:
            put(client, run.id, state)
    finally:
        is_stuck = bool(lease) and not give_back(client, lease, SourceQueue.of(run))
    if is_stuck and run.state is not None and run.state.is_final():
        set_labels(client, run.id, {LEASE: lease})  # the recovery flow tries again
    return known


def release_next(client: SyncPrefectClient, queue: SourceQueue) -> list[UUID]:
    """Release the parked runs whose turn it is, and return their ids; runs that wait in a process see it themselves."""
    return release(client, queue, queue.read(client))


def release(client: SyncPrefectClient, queue: SourceQueue, queue_state: QueueState) -> list[UUID]:
    """Release the parked runs whose turn it is in this state of the queue, and return their ids."""
    released = []
    for run in queue_state.next_ones():
        parked = run.deployment_id is not None and is_parked(run)
        if parked and put_unless_canceled(client, run.id, released_state(queue.kind, "Its turn has come.")):
            released.append(run.id)
    return released


def released_state(kind: JobKind, message: str = "Waits for a worker, and for its turn.") -> State[None]:
    """Return the state Queued of a run that is due now, so that a worker takes it."""
    return state_of(kind, JobStatus.QUEUED, message)
