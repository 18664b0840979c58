"""A job's process taking up its run."""

from __future__ import annotations

import os
from itertools import takewhile
from time import monotonic, sleep
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort

from prefect_collect.flows._job_flow import this_run
from prefect_collect.flows._signed import forget_signatures
from prefect_collect.flows._taken import Taken
from prefect_collect.processes import is_alive, is_gone
from prefect_collect.runs._after import hold
from prefect_collect.runs._clock import server_now, set_clock
from prefect_collect.runs._gate import PLACE, in_infrastructure, leave
from prefect_collect.runs._line import LEASE_SECONDS, is_fresh
from prefect_collect.runs._notes import (
    BEAT,
    LEASE,
    SOURCE,
    WORKER,
    note,
    noted,
    noted_process,
    process_notes,
)
from prefect_collect.runs._reading import history
from prefect_collect.runs._session import Session
from prefect_collect.runs._states import put
from prefect_collect.statuses import JobKind, JobStatus

_LOOK_EVERY: Final = 0.2
_ASKED: Final = {"AwaitingRetry": "retry-requested", "Resuming": "start-requested"}


def take_up(kind: JobKind, source: str) -> Taken:
    """Take up the run that this flow is: note which process has it, and look after it from now on.

    Raises Abort if another process works on it, or it was canceled before this one had started.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(this_run().id)
        states = history(client, run.id)
        forget_signatures(client, run)
        _require_wanted(client, run, states)
        _require_free(client, run)
        named = {SOURCE: source} if source else {}
        set_clock(client)
        worker = {WORKER: "yes" if in_infrastructure(run.id) else ""}
        note(client, run.id, {**process_notes(), **named, **worker, BEAT: server_now().isoformat()})
        taken = Taken(kind, source, Session(client.read_flow_run(run.id), asked=_asked(states)))
    hold(taken.session)
    taken.session.begin()
    return taken


def _asked(states: list[State[Any]]) -> str:
    """What a person asked for by a button of Prefect's; "" if nobody did: what `jobs` asks for is called Queued."""
    due = [state.name for state in states if state.is_scheduled()]
    return _ASKED.get(due[-1] or "", "") if due else ""


def _require_wanted(client: SyncPrefectClient, run: FlowRun, states: list[State[Any]]) -> None:
    """Raise Abort, and put the run back, if it was canceled while this process started: Prefect lets it run then.

    (3.8: `HandleFlowTerminalStateTransitions` allows Cancelled to Running.)
    """
    if len(states) > 1 and states[-1].is_running() and states[-2].is_cancelled():
        put(client, run.id, states[-2])
        raise Abort("The job was canceled before its process had started.")


def _require_free(client: SyncPrefectClient, run: FlowRun) -> None:
    """Raise Abort if the run is another process's; a slot that a lost process held is given back.

    A process that has ended the job, which was started again at once, is given the time to hand on.
    """
    until = monotonic() + LEASE_SECONDS
    while _may_hand_on(run) and monotonic() < until and _has_ended(client, run):
        sleep(_LOOK_EVERY)
        run = client.read_flow_run(run.id)
    if not noted(run, LEASE):
        return
    other = noted_process(run.labels)
    ours = is_alive(other) and other.get("pid") == os.getpid()
    if not ours and not is_gone(other) and (is_alive(other) or is_fresh(run)):
        raise Abort(f"Another process works on this job: {other.get('pid')} on {other.get('host')}.")
    leave(client, run, keep=PLACE)


def _may_hand_on(run: FlowRun) -> bool:
    """Whether there is a slot to hand on, and a process that may be about to do so."""
    return bool(noted(run, LEASE)) and is_fresh(run) and not is_gone(noted_process(run.labels))


def _has_ended(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the job has come to an end since it was In progress last."""
    since = takewhile(lambda state: state.name != str(JobStatus.IN_PROGRESS), reversed(history(client, run.id)))
    return any(state.is_final() for state in since)
