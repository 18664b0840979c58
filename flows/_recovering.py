"""Recover jobs whose process is gone, and finish what a lost process left undone.

Called by the recovery flow for all jobs, by a job before and while it waits for its turn, and by a next step for its
job. `_settling` settles one job.
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
from prefect_collect.flows._follow_up import is_awaiting, settle_export
from prefect_collect.flows._losses import SET_BY_HAND, is_lost, may_be_left
from prefect_collect.flows._settling import settle
from prefect_collect.runs._clock import server_now, set_clock
from prefect_collect.runs._gate import leave, release_next
from prefect_collect.runs._leaks import (
    ended_last,
    give_back_deleted,
    give_back_leaked,
    give_back_left,
    lines_in_use,
)
from prefect_collect.runs._line import Line, Standing
from prefect_collect.runs._notes import LEASE, QUEUED, WORKER, noted, noted_process
from prefect_collect.runs._reading import OPEN, flow_runs, job_flows

R = TypeVar("R")

_UNSETTLED: Final = ["Crashed", "Cancelled", SET_BY_HAND]
_log = get_logger("prefect_collect")


def recover(client: SyncPrefectClient) -> list[str]:
    """Recover every job once, and return what was done, a sentence each; what fails is left to the next recovery.

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
    """Recover a job whose process was just lost."""
    set_clock(client)
    _tried(f"job {run_id}", lambda: _see_to(client, client.read_flow_run(run_id)))


def see_to_lost(client: SyncPrefectClient) -> None:
    """Recover jobs that no worker reports as crashed; called by a job in a user's process, where no recovery runs."""
    running = FlowRunFilter(state=_of_types(StateType.PENDING, StateType.RUNNING, StateType.CANCELLING))
    waiting = FlowRunFilter(
        state=_of_types(StateType.SCHEDULED), deployment_id=FlowRunFilterDeploymentId(is_null_=True)
    )
    for only in (running, waiting):
        for run in [*flow_runs(client, only, flows=job_flows())]:
            if noted(run, WORKER) != "yes":
                _tried(f"job {run.id}", partial(_see_to, client, run))


def see_to_holders(client: SyncPrefectClient, line: Line, standing: Standing) -> None:
    """Recover the jobs that hold a slot, and give back slots of ended jobs; called by a job that waits for one."""
    for holder in standing.holding:
        job_crashed(client, holder.id)
    if standing.unheld:
        _tried(f"queue {line.name}", partial(_hand_on, client, line, standing))


def _tried(what: str, see_to: Callable[[], R]) -> R | None:
    """Call it and return its value; None if it fails, so that one job or queue does not keep others from recovery."""
    try:
        return see_to()
    except ObjectNotFound:
        return None  # deleted meanwhile
    except httpx.TransportError:
        raise
    except CollectError as error:
        _log.warning("Cannot see to %s: %s", one_line(what), one_line(str(error)))
    except Exception:
        _log.exception("Cannot see to %s", one_line(what))
    return None


def _see_to_line(client: SyncPrefectClient, line: Line) -> list[str]:
    standing = line.read(client)
    deleted = give_back_deleted(client, line, standing)
    ended = _hand_on(client, line, standing)
    done = [f"{line.name}: gave back the slot of {run.id}, which has ended." for run in ended]
    done += [f"{line.name}: gave back the slot of {run_id}, which was deleted." for run_id in deleted]
    if give_back_leaked(client, line):
        done.append(f"{line.name}: gave back a slot that no job holds.")
    return done + [f"{line.name}: released {run_id}." for run_id in release_next(client, line)]


def _hand_on(client: SyncPrefectClient, line: Line, standing: Standing) -> list[FlowRun]:
    """Give back the slots of ended jobs whose process was lost, or failed, before it gave them back."""
    if not standing.limit:  # the server takes none back
        return []
    now = server_now()
    ended = ended_last(client, line)
    for run in [*line.runs(client), *ended]:
        give_back_left(client, run, now)
    held = [run for run in ended if noted(run, LEASE)]
    left = [run for run in held if is_lost(run, now) or not noted_process(run.labels).get("pid")]
    for run in left:
        leave(client, run)
    return left


def _unsettled_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """Read all runs first: settling one would move others to pages that were read already."""
    state = FlowRunFilterState(
        operator=Operator.or_,  # type: ignore[call-arg]  # it has it from a mixin
        type=FlowRunFilterStateType(any_=OPEN),
        name=FlowRunFilterStateName(any_=_UNSETTLED),
    )
    return [*flow_runs(client, FlowRunFilter(state=state), flows=job_flows())]


def _of_types(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=[*types]))


def _see_to(client: SyncPrefectClient, run: FlowRun) -> str | None:
    now = server_now()
    if is_awaiting(run):
        settle_export(client, run)
        after = client.read_flow_run(run.id)
        return None if is_awaiting(after) else "its collection is done, or gone."
    if not may_be_left(run, now):
        return None
    return settle(client, run.id, now)
