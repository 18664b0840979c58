"""The gate that every job passes before it does anything: one at a time per kind and data source, in order.

A run that a worker started ends its process while it waits: it is parked (see `_states.parked_state`), and whoever
ends a job of the queue releases the next. A job that was called in a process waits there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Pause

from prefect_collect.processes import is_gone
from prefect_collect.runs._clock import server_now
from prefect_collect.runs._leaks import give_back_deleted
from prefect_collect.runs._line import Line, Standing, give_back, renew
from prefect_collect.runs._names import TAG
from prefect_collect.runs._notes import (
    CANCELED_BY,
    LEASE,
    LEFT,
    QUEUED,
    RESUMED,
    SOURCE,
    WORKER,
    no_process,
    note,
    noted,
    noted_process,
    tag,
)
from prefect_collect.runs._reading import history
from prefect_collect.runs._states import is_parked, parked_state, put, put_unless_canceled, state_of
from prefect_collect.statuses import JobKind, JobStatus

LOOK_EVERY: Final = 1.0
"""Seconds after which a job that waits in its process looks again."""

_BEGINS: Final = {StateType.PAUSED, StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}


def in_infrastructure(run_id: UUID) -> bool:
    """Whether a worker or `serve` started this process for the run, and would start another one when it is due."""
    return os.environ.get("PREFECT__FLOW_RUN_ID", "") == str(run_id)


def join(client: SyncPrefectClient, run: FlowRun, line: Line) -> None:
    """Put the run in its queue, at the place of the time when it was queued."""
    tag(client, run, line.name, TAG)
    if not noted(run, QUEUED) or noted(run, SOURCE) != line.source:
        note(client, run.id, {SOURCE: line.source, QUEUED: noted(run, QUEUED) or queued_since(client, run)})


def queued_since(client: SyncPrefectClient, run: FlowRun) -> str:
    """When the run was queued, as the server's clock says: since it was made, started or ended last."""
    since = None
    for state in history(client, run.id):
        if state.type in _BEGINS or state.name == str(JobStatus.AWAITING_COLLECTION):
            since = None
        elif since is None:
            due = state.state_details.scheduled_time
            since = max(state.timestamp, due) if due is not None else state.timestamp
    return (since or server_now()).astimezone(UTC).isoformat()


def enter(
    client: SyncPrefectClient,
    run: FlowRun,
    line: Line,
    stopped: Callable[[float], bool],
    waiting: Callable[[str], None],
    see_to: Callable[[Standing], None],
) -> str:
    """Return the lease of a slot, when it is the run's turn.

    Raises Pause, with the state that it has set, if the process is to end while the run waits. `stopped` waits for so
    many seconds, and says whether the job is to stop; then "" is returned. `waiting` is told what the job waits for,
    whenever that changes. `see_to` is given how the queue stands if a run that holds a slot seems lost, or nothing that
    runs holds it: no other starts before that one is settled.
    """

    def attempted() -> tuple[str | None, Standing]:
        standing = line.read(client)
        if give_back_deleted(client, line, standing):
            standing = line.read(client)
        if standing.lapsed or standing.unheld or any(_is_abandoned(holder) for holder in standing.holding):
            see_to(standing)
            standing = line.read(client)
        return _take(client, run, line, standing), standing

    lease, standing = attempted()
    if lease is not None:
        return lease
    message = what_for(standing, run.id)
    if in_infrastructure(run.id):
        state = parked_state(line.kind, message)
        if stopped(0) or not put_unless_canceled(client, run.id, state):
            return ""
        # A slot that came free before the run was parked was not offered to any job.
        lease, _ = attempted()
        if lease is not None:
            return lease
        if noted(client.read_flow_run(run.id), CANCELED_BY):  # by a user who still saw it In progress
            return ""
        raise Pause("The job is queued.", state=state)
    if not put_unless_canceled(client, run.id, parked_state(line.kind, message)):
        return ""
    said = ""
    while lease is None:
        if message != said:
            waiting(message)
            said = message
        if stopped(LOOK_EVERY):
            return ""
        try:
            lease, standing = attempted()
        except httpx.TransportError as error:
            message = f"Prefect's server does not answer, so the job waits on: {error}"
        else:
            message = what_for(standing, run.id)
    return lease


def _is_abandoned(run: FlowRun) -> bool:
    """Whether the run's process is gone, and no worker would notice."""
    return noted(run, WORKER) != "yes" and is_gone(noted_process(run.labels))


def _take(client: SyncPrefectClient, run: FlowRun, line: Line, standing: Standing) -> str | None:
    lease = line.take(client, run.id) if standing.may_start(run.id) else None
    if lease is not None:
        note(client, run.id, {LEASE: lease})
    return lease


def what_for(standing: Standing, run_id: UUID) -> str:
    """Who holds the slot, and how many are before the run, in a sentence."""
    if standing.limit == 0:
        return "The data source's concurrency limit is 0, so nothing is started on it; raise it in Prefect."
    holding = [run for run in standing.holding if run.id != run_id]
    held = ", ".join(f"{run.name} ({str(run.id)[:8]})" for run in holding[:3]) or "another job of the same data source"
    before = standing.before(run_id)
    ahead = f"{before} before it in the queue" if before else "it is the next"
    return f"Waiting for {held}; {ahead}."


PLACE: Final = (QUEUED, RESUMED, CANCELED_BY)
"""The notes of a job that another process is to go on with."""


def leave(
    client: SyncPrefectClient,
    run: FlowRun,
    *,
    lease: str = "",
    keep: tuple[str, ...] = (),
    notes: dict[str, str] | None = None,
    state: State[None] | None = None,
) -> bool:
    """Take the run out of its queue, but for the notes it is to keep, and give its slot back.

    `lease` is the slot's, if this process knows it; else what the run notes is. `notes` are noted with it. `state` is
    put before the slot is free, so that a run that keeps its place is not overtaken. False if the server has forgotten
    the lease, so that it may count the slot as taken.
    """
    # The server merges notes that come at the same time without a lock, so that one may be lost.
    lease = lease or noted(run, LEASE)
    known = not lease or renew(client, lease)
    names = [name for name in (LEASE, QUEUED, RESUMED, CANCELED_BY) if name not in keep]
    try:
        # The next process notes itself a moment after Prefect says Running: the one before is not to be taken for it.
        left = {LEFT: lease} if lease else {}
        note(client, run.id, {**no_process(), **dict.fromkeys(names, ""), **left, **(notes or {})})
        if state is not None:
            put(client, run.id, state)
    finally:
        is_stuck = bool(lease) and not give_back(client, lease, Line.of(run))
    if is_stuck and run.state is not None and run.state.is_final():
        note(client, run.id, {LEASE: lease})  # for the recovery to try again
    return known


def release_next(client: SyncPrefectClient, line: Line) -> list[UUID]:
    """Have the parked runs started whose turn it is; those that wait in a process see it themselves."""
    released = []
    for run in line.read(client).next_ones():
        parked = run.deployment_id is not None and is_parked(run)
        if parked and put_unless_canceled(client, run.id, released_state(line.kind)):
            released.append(run.id)
    return released


def released_state(kind: JobKind) -> State[None]:
    """Queued, and due now."""
    return state_of(kind, JobStatus.QUEUED, "Its turn has come.")
