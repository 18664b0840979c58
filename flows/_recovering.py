"""Seeing to jobs whose process is gone, and to all that a lost process left undone.

What a job has come to is read from its evidence. A job of a deployment is taken up again, up to three times; one that
ran in a person's own process is ended as what it has come to, and can be retried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    Operator,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.errors import CollectError, JobNotFound
from prefect_collect.escaping import one_line
from prefect_collect.flows._evidence import close_lost, completed, note_recovered
from prefect_collect.flows._follow_up import follow_up, is_awaiting, settle_export
from prefect_collect.flows._losses import (
    SET_BY_HAND,
    is_asked_to_cancel,
    is_late,
    is_late_report,
    is_lost,
    is_nobodys,
    is_of_this_round,
    may_be_left,
    unstarted,
)
from prefect_collect.results import TaskResult
from prefect_collect.runs._after import job_ended, kind_of
from prefect_collect.runs._clock import server_now, set_clock
from prefect_collect.runs._deployed import deployment_of, is_served
from prefect_collect.runs._gate import PLACE, leave, release_next, released_state
from prefect_collect.runs._leaks import ended_last, give_back_leaked, lines_in_use
from prefect_collect.runs._line import Line
from prefect_collect.runs._lines import result_labels
from prefect_collect.runs._notes import (
    ATTEMPT,
    CANCELED_BY,
    LEASE,
    QUEUED,
    RESUMED,
    WORKER,
    label,
    noted,
    noted_process,
)
from prefect_collect.runs._reading import OPEN, flow_runs, job_flows
from prefect_collect.runs._states import put, state_of
from prefect_collect.statuses import JobKind, JobStatus, next_steps
from prefect_collect.tasks.artifacts import show_places
from prefect_collect.tasks.telling import tell

R = TypeVar("R")

MOST_RESUMES: Final = 3
"""How often a job is taken up again by itself."""

_UNSETTLED: Final = ["Crashed", "Cancelled", SET_BY_HAND]
_ONE_BY_ONE: Final = threading.RLock()
"""A worker that reports a crash, and the looks at all jobs, are in one process where `serve` runs."""

_log = get_logger("prefect_collect")


def recover(client: SyncPrefectClient) -> list[str]:
    """See to every job once, and give what was done, a sentence each. What cannot be seen to is left to the next time.

    Raises httpx.TransportError if Prefect's server does not answer.
    """
    done: list[str] = []
    set_clock(client)
    tags: set[str] = set()
    for run in _unsettled_runs(client):
        tags |= set(run.tags) if noted(run, QUEUED) else set()
        said = _tried(f"job {run.id}", partial(_see_to, client, run))
        if said is not None:
            done.append(f"{run.name} ({run.id}): {said}")
    for line in lines_in_use(client, tags):
        done += _tried(f"queue {line.name}", partial(_see_to_line, client, line)) or []
    return done


def job_crashed(client: SyncPrefectClient, run_id: UUID) -> None:
    """See to a job whose process was just lost."""
    set_clock(client)
    _tried(f"job {run_id}", lambda: _see_to(client, client.read_flow_run(run_id)))


def _tried(what: str, see_to: Callable[[], R]) -> R | None:
    """What it gives; None if it fails: whatever is wrong with one job or queue, the others are to be seen to."""
    try:
        return see_to()
    except ObjectNotFound:
        return None  # deleted meanwhile
    except httpx.TransportError:
        raise
    except CollectError as error:
        _log.warning("Cannot see to %s: %s", one_line(what), one_line(str(error)))
    except Exception:
        _log.exception("Cannot see to %s", what)
    return None


def _see_to_line(client: SyncPrefectClient, line: Line) -> list[str]:
    done = [f"{line.name}: gave back the slot of {run.id}, which has ended." for run in _hand_on(client, line)]
    if give_back_leaked(client, line):
        done.append(f"{line.name}: gave back a slot that nobody holds.")
    return done + [f"{line.name}: released {run_id}." for run_id in release_next(client, line)]


def _hand_on(client: SyncPrefectClient, line: Line) -> list[FlowRun]:
    """Give back the slots of jobs that have ended, and whose process was lost before it could hand on, or could not."""
    now = server_now()
    held = [run for run in ended_last(client, line) if noted(run, LEASE)]
    left = [run for run in held if is_lost(run, now) or not noted_process(run.labels).get("pid")]
    if not left or not line.read(client).limit:  # of a limit of 0 the server takes none back
        return []
    for run in left:
        leave(client, run)
    return left


def _unsettled_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """All at once: what is seen to would push others out of the pages that are read after it."""
    state = FlowRunFilterState(
        operator=Operator.or_,  # type: ignore[call-arg]  # it has it from a mixin
        type=FlowRunFilterStateType(any_=OPEN),
        name=FlowRunFilterStateName(any_=_UNSETTLED),
    )
    return [*flow_runs(client, FlowRunFilter(state=state), flows=job_flows())]


def _see_to(client: SyncPrefectClient, run: FlowRun) -> str | None:
    now = server_now()
    if is_awaiting(run):
        settle_export(client, run)
        after = client.read_flow_run(run.id)
        return None if is_awaiting(after) else "its collection is done, or gone."
    if not may_be_left(run, now):
        return None
    with _ONE_BY_ONE:
        return _settle(client, run, now)


def _settle(client: SyncPrefectClient, run: FlowRun, now: datetime) -> str | None:
    # What was read with many others is old by now: a new process may have taken the run up meanwhile.
    run = client.read_flow_run(run.id)
    kind = kind_of(client, run)
    if run.state is None or kind is None or not may_be_left(run, now):
        return None
    if run.state.type is StateType.PENDING:
        put(client, run.id, released_state(kind))
        return "the worker that took it did not start it; it is queued again."
    if run.state.type is StateType.CANCELLING and not (
        is_lost(run, now) or is_nobodys(run, now) or unstarted(client, run)
    ):
        return None
    if run.state.type is StateType.COMPLETED:
        return _settle_set_by_hand(client, run, kind)
    if run.state.type in (StateType.CANCELLED, StateType.CANCELLING):
        return _settle_canceled(client, run, kind)
    if is_late_report(client, run):
        put(client, run.id, released_state(kind))
        return "it was queued again already when its crash was reported."
    return _settle_lost(client, run, kind)


def _settle_canceled(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    """A cancellation that Prefect ended, or whose process did not live to end it: give it its name and its receipt."""
    if is_late(client, run):
        put(client, run.id, released_state(kind))
        return "queued again: its worker said late that it had been canceled before it was started again."
    if (status := unstarted(client, run)) is not None:
        return _put_back(client, run, kind, status)
    result = close_lost(run, canceled=True)
    if result is not None and not is_of_this_round(client, run, result):
        result = None
    if result is not None and result.status is not JobStatus.CANCELED:
        if _goes_on(client, run) and result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            return _resume(client, run, kind, counted=False)
        return _end(client, run, kind, result)
    message = "The job was canceled before anything was started." if result is None else result.message
    _put_end(client, run, kind, JobStatus.CANCELED, message, result)
    return "canceled."


def _settle_set_by_hand(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    """Somebody set the run to Completed in Prefect: it is what its evidence says."""
    if (status := unstarted(client, run)) is not None:
        return _put_back(client, run, kind, status)
    result = close_lost(run, canceled=False)
    if result is not None:
        return _end(client, run, kind, result)
    return _put_end(client, run, kind, JobStatus.FAILED, "It was set to Completed in Prefect, but nothing was run.")


def _put_back(client: SyncPrefectClient, run: FlowRun, kind: JobKind, status: JobStatus) -> str:
    """Give a job that has not begun the status that it had: it offers no step by which a person could have ended it."""
    steps = " and ".join(str(step) for step in next_steps(kind, status))
    message = f"Put back: while the {kind.value} is {status}, it offers {steps}."
    if status is JobStatus.AWAITING_COLLECTION:
        message += " It starts by itself when its collection is completed."
    put(client, run.id, state_of(kind, status, message))
    tell(kind, status, run, message)
    return message


def _settle_lost(client: SyncPrefectClient, run: FlowRun, kind: JobKind) -> str:
    folder = completed(run)
    result = None if folder is None else folder.result()
    open_attempts = [] if folder is None else [n for n in folder.attempts() if n not in folder.closed_attempts()]
    if result is not None and not open_attempts and is_of_this_round(client, run, result):
        # Canceled without anybody's word: a worker that was shut down cut off what was being read.
        cut_off = result.status is JobStatus.CANCELED and not is_asked_to_cancel(client, run)
        if cut_off and _goes_on(client, run):
            return _resume(client, run, kind, counted=False)
        return _end(client, run, kind, result)
    if noted(run, CANCELED_BY):
        return _settle_canceled(client, run, kind)
    if _goes_on(client, run) and int(noted(run, RESUMED) or 0) < MOST_RESUMES:
        return _resume(client, run, kind, counted=True)
    if folder is None and noted(run, ATTEMPT):
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
) -> str:
    """End the job for its lost process, with all that follows; gives the message."""
    put(client, run.id, state_of(kind, status, message))
    note_recovered(run, status, message)
    tell(kind, status, run, message, result)
    job_ended(run.id, follow_up, show_places)
    return message


def _goes_on(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a worker would start the job again: one did before, or one looks for its runs."""
    if run.deployment_id is None:
        return False
    deployment = deployment_of(client, run)
    return deployment is not None and (noted(run, WORKER) == "yes" or is_served(deployment))


def _resume(client: SyncPrefectClient, run: FlowRun, kind: JobKind, *, counted: bool) -> str:
    if _has_moved(client, run):
        return "another process sees to it."
    times = int(noted(run, RESUMED) or 0) + counted
    state = released_state(kind)
    state.message = (
        f"Its process was lost; it is taken up again where it was ({times} of {MOST_RESUMES} times)."
        if counted
        else "Its worker was shut down; it goes on where it was."
    )
    note_recovered(run, JobStatus.QUEUED, state.message)
    tell(kind, JobStatus.QUEUED, run, state.message)
    leave(client, run, keep=PLACE, notes={RESUMED: str(times)}, state=state)
    return state.message


def _has_moved(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run's state is another one by now."""
    present = client.read_flow_run(run.id).state
    return present is None or run.state is None or present.id != run.state.id


def _end(client: SyncPrefectClient, run: FlowRun, kind: JobKind, result: TaskResult) -> str:
    """Give the run the state that its evidence says."""
    if _has_moved(client, run):
        return "another process sees to it."
    label(client, run.id, result_labels(result))
    _put_end(client, run, kind, result.status, result.message, result)
    return f"{result.status}: {result.message}"
