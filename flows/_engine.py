"""Running jobs with Prefect's engine, and ending those of which it could not tell Prefect the end.

The engine sets the state in which a flow ends once, and calls no hook if Prefect does not take it: the run was deleted,
canceled or ended by a user a moment before, or the server failed. The process, which may live on, would hold the job's
slot, and give signs of life for a job that has ended.
"""

from __future__ import annotations

import atexit
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow
from prefect.logging import get_logger
from prefect.states import Crashed

from prefect_collect.escaping import one_line
from prefect_collect.flows._evidence import standing
from prefect_collect.flows._follow_up import follow_up
from prefect_collect.flows._recovering import job_crashed
from prefect_collect.runs._after import hand_on_deleted, job_ended, kind_of, let_go
from prefect_collect.runs._notes import is_ours
from prefect_collect.runs._reach import wait_for_server
from prefect_collect.runs._session import Session
from prefect_collect.runs._states import put, state_of
from prefect_collect.statuses import JobKind
from prefect_collect.tasks.artifacts import show_places

_begun: ContextVar[list[UUID] | None] = ContextVar("jobs begun", default=None)
_log = get_logger("prefect_collect")


def run_job(flow: Any, run: FlowRun | None, **options: Any) -> Any:
    """Run a job flow in this process, and give what Prefect's `run_flow` gives with these options.

    `run` is None for a job that another flow calls: the engine makes its run. Raises what the engine raises.
    """
    begun: list[UUID] = []
    token = _begun.set(begun)
    try:
        return run_flow(flow, flow_run=run, **options)
    finally:
        _begun.reset(token)
        for run_id in begun:
            _end_untold(run_id)


def see_to_end(run_id: UUID) -> None:
    """End the job, should the engine not, when `run_job` is left, or with the process that a worker started for it."""
    begun = _begun.get()
    if begun is None:
        atexit.register(_end_untold, run_id)
    else:
        begun.append(run_id)


def _end_untold(run_id: UUID) -> None:
    """Let a job go that this process still holds though its flow has ended: its evidence says what it has come to."""
    session = let_go(run_id)
    if session is None:
        return
    try:
        wait_for_server()
        with get_client(sync_client=True) as client:
            _settle(client, session)
    except Exception as error:  # which would stand in place of what the flow returned or raised
        _log.warning("The end of job %s is left to the recovery: %s", run_id, one_line(str(error)))


def put_told(client: SyncPrefectClient, run: FlowRun, kind: JobKind, session: Session | None) -> bool:
    """Set the state in which the job's end was told already, if that is what it has come to; return whether it is."""
    if session is None or session.told is None:
        return False
    stands = standing(run, session.attempt, "")
    if stands is None or stands[0].status is not session.told:
        return False
    put(client, run.id, state_of(kind, stands[0].status, stands[0].message))
    return True


def _settle(client: SyncPrefectClient, session: Session) -> None:
    try:
        run = client.read_flow_run(session.run.id)
    except ObjectNotFound:
        hand_on_deleted(client, session)
        return
    if not is_ours(run):
        return
    kind = kind_of(client, run)
    if kind is not None and put_told(client, run, kind, session):
        job_ended(run.id, follow_up, show_places)
        return
    put(client, run.id, Crashed(message="Prefect could not be told how the job ended."))
    job_crashed(client, run.id)
