"""Start a job in its process: check that the run may still start, and watch it from then on."""

from __future__ import annotations

from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort

from prefect_collect.flows._job_flow import this_run
from prefect_collect.flows._signed import forget_signatures
from prefect_collect.flows._started_job import StartedJob
from prefect_collect.flows.engine import ensure_end
from prefect_collect.runs.labels import is_ours
from prefect_collect.runs.queries import history
from prefect_collect.runs.running_sessions import hold
from prefect_collect.runs.session import Session
from prefect_collect.runs.states import put
from prefect_collect.statuses import JobKind

_ASKED: Final = {"AwaitingRetry": "retry-requested", "Resuming": "start-requested"}


def start_job(kind: JobKind, source: str) -> StartedJob:
    """Start this flow's run, which this process owns (see `_owner`), and watch it in a thread from now on.

    Raises Abort if the run is owned by another process now, or was canceled before this process had started.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(this_run().id)
        states = history(client, run.id)
        forget_signatures(client, run)
        _require_wanted(client, run, states)
        taken = StartedJob(kind, source, Session(client.read_flow_run(run.id), asked=_asked(states)))
    hold(taken.session)
    ensure_end(taken.session)
    taken.session.begin()
    return taken


def _asked(states: list[State[Any]]) -> str:
    """Return the custody event of the button of Prefect's UI that started the run; "" if it was started otherwise.

    A run that `prefect_collect.jobs` starts has a state called Queued.
    """
    due = [state.name for state in states if state.is_scheduled()]
    return _ASKED.get(due[-1] or "", "") if due else ""


def _require_wanted(client: SyncPrefectClient, run: FlowRun, states: list[State[Any]]) -> None:
    """Raise Abort, and put the run back, if it was canceled or settled while this process started.

    Prefect lets it run then. (3.8: `HandleFlowTerminalStateTransitions` allows an ended run to be Running.)
    """
    running = len(states) > 1 and states[-1].is_running()
    if running and states[-2].is_cancelled():
        put(client, run.id, states[-2])
        raise Abort("The job was canceled before its process had started.")
    if not is_ours(run):
        if running and states[-2].is_final():
            put(client, run.id, states[-2])
        raise Abort("This process was taken for lost, and the job is another one's by now.")
