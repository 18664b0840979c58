"""Recover the jobs whose process is gone, and give their slots back.

The recovery flow and `serve` do it for all jobs; a job does it for others before and while it waits for its turn.
`settling` settles one job.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    Operator,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.errors import CollectError
from prefect_collect.escaping import one_line
from prefect_collect.flows.auto_exports import is_awaiting, settle_export
from prefect_collect.flows.lost_runs import SET_BY_HAND, has_moved, is_lost, may_be_left
from prefect_collect.flows.settling import settle
from prefect_collect.runs.labels import LEASE, QUEUED, WORKER, label_of, process_of
from prefect_collect.runs.leaked_slots import (
    ended_last,
    give_back_deleted,
    give_back_leaked,
    give_back_left,
    queues_in_use,
)
from prefect_collect.runs.queries import OPEN, flow_runs, job_flows
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.source_queue import QueueState, SourceQueue
from prefect_collect.runs.turn import leave_queue, release_next

R = TypeVar("R")

_UNSETTLED: Final = ["Crashed", "Cancelled", SET_BY_HAND]
_log = get_logger("prefect_collect")


def recover(client: SyncPrefectClient) -> list[str]:
    """Recover every job once, and return what was done, a sentence each; what fails is left to the next recovery.

    Raise httpx.TransportError if Prefect's server does not answer.
    """
    done: list[str] = []
    set_clock(client)
    tags: set[str] = set()
    for run in _unsettled_runs(client):
        tags |= set(run.tags) if label_of(run, QUEUED) else set()
        what = _tried(f"job {run.id}", partial(_recover, client, run))
        if what is not None:
            done.append(f"{run.name} ({run.id}): {what}")
    for queue in queues_in_use(client, tags):
        done += _tried(f"queue {queue.name}", partial(_recover_queue, client, queue)) or []
    return done


def job_crashed(client: SyncPrefectClient, run_id: UUID) -> None:
    """Recover a job whose process was just lost."""
    set_clock(client)
    _tried(f"job {run_id}", lambda: _recover(client, client.read_flow_run(run_id)))


def recover_lost(client: SyncPrefectClient) -> None:
    """Recover jobs that no worker reports as crashed; called by a job in a user's process, where no recovery runs."""
    running = FlowRunFilter(state=_of_types(StateType.PENDING, StateType.RUNNING, StateType.CANCELLING))
    waiting = FlowRunFilter(
        state=_of_types(StateType.SCHEDULED), deployment_id=FlowRunFilterDeploymentId(is_null_=True)
    )
    for only in (running, waiting):
        for run in [*flow_runs(client, only, flows=job_flows())]:
            if label_of(run, WORKER) != "yes":
                _tried(f"job {run.id}", partial(_recover, client, run))


def recover_slot_holders(client: SyncPrefectClient, queue: SourceQueue, queue_state: QueueState) -> None:
    """Recover the jobs that hold a slot, and give back slots of ended jobs; called by a job that waits for one."""
    for holder in queue_state.holding:
        job_crashed(client, holder.id)
    if queue_state.unheld:
        _tried(f"queue {queue.name}", partial(_hand_on, client, queue, queue_state))


def _tried(what: str, recovery: Callable[[], R]) -> R | None:
    """Call `recovery` and return its value; None if it fails, so that the other jobs and queues are recovered too."""
    try:
        return recovery()
    except ObjectNotFound:
        return None  # deleted meanwhile
    except httpx.TransportError:
        raise
    except CollectError as error:
        _log.warning("Cannot recover %s: %s", one_line(what), one_line(str(error)))
    except Exception:
        _log.exception("Cannot recover %s", one_line(what))
    return None


def _recover_queue(client: SyncPrefectClient, queue: SourceQueue) -> list[str]:
    queue_state = queue.read(client)
    deleted = give_back_deleted(client, queue, queue_state)
    ended = _hand_on(client, queue, queue_state)
    done = [f"{queue.name}: gave back the slot of {run.id}, which has ended." for run in ended]
    done += [f"{queue.name}: gave back the slot of {run_id}, which was deleted." for run_id in deleted]
    if give_back_leaked(client, queue):
        done.append(f"{queue.name}: gave back a slot that no job holds.")
    return done + [f"{queue.name}: released {run_id}." for run_id in release_next(client, queue)]


def _hand_on(client: SyncPrefectClient, queue: SourceQueue, queue_state: QueueState) -> list[FlowRun]:
    """Give back the slots of ended jobs whose process was lost, or failed, before it gave them back."""
    if not queue_state.limit:  # at a limit of 0 the server lets no slot be given back
        return []
    now = server_now()
    ended = ended_last(client, queue)
    for run in [*queue.runs(client), *ended]:
        give_back_left(client, run, now)
    held = [run for run in ended if label_of(run, LEASE)]
    gone = [run for run in held if is_lost(run, now) or not process_of(run.labels).get("pid")]
    left = [run for run in gone if not has_moved(client, run)]
    for run in left:
        leave_queue(client, run)
    return left


def _unsettled_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Return all runs that may need recovery. All are read first, as settling one would move others between pages."""
    state = FlowRunFilterState(
        operator=Operator.or_,  # type: ignore[call-arg]  # it has it from a mixin
        type=FlowRunFilterStateType(any_=OPEN),
        name=FlowRunFilterStateName(any_=_UNSETTLED),
    )
    return [*flow_runs(client, FlowRunFilter(state=state), flows=job_flows())]


def _of_types(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=[*types]))


def _recover(client: SyncPrefectClient, run: FlowRun) -> str | None:
    now = server_now()
    if is_awaiting(run):
        settle_export(client, run)
        after = client.read_flow_run(run.id)
        return None if is_awaiting(after) else "its collection is done, or was deleted."
    if not may_be_left(run, now):
        return None
    return settle(client, run.id, now)
