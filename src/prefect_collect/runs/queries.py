"""Read flow runs and their states from Prefect's server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect.runs.job_runs import JobRuns, asking_prefect, run_ids
from prefect_collect.runs.names import PLANNED, flow_names
from prefect_collect.runs.paging import PAGE, paged
from prefect_collect.runs.server_clock import server_now
from prefect_collect.statuses import JobKind, JobStatus, from_prefect_state

OPEN: Final = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,  # a job that a user pauses in the UI continues to work, and holds its slot
    StateType.CANCELLING,
]
"""The state types of a run that has not ended."""


def flow_runs(
    client: SyncPrefectClient,
    only: FlowRunFilter | None = None,
    *,
    flows: FlowFilter | None = None,
    sort: FlowRunSort = FlowRunSort.ID_DESC,
) -> Iterator[FlowRun]:
    """Yield the flow runs that match the filters, by default in the order of their ids.

    That order is random, and the only one in which two runs never change places between two pages.
    """
    return paged(
        lambda limit, offset: client.read_flow_runs(
            flow_filter=flows, flow_run_filter=only, sort=sort, limit=limit, offset=offset
        )
    )


def answered_run(answer: httpx.Response) -> FlowRun | None:
    """Return the flow run that a server's answer holds; None if the answer is a refusal."""
    return FlowRun.model_validate(answer.json()) if answer.is_success else None


def runs_of_ids(client: SyncPrefectClient, ids: Iterable[str]) -> dict[str, FlowRun]:
    """Return the runs that have these ids, at most `PAGE`, by their ids; an id may be one of no run, or no UUID."""
    asked = run_ids(ids)
    if not asked:
        return {}
    only = FlowRunFilter(id=FlowRunFilterId(any_=[*asked.values()]))
    found = {run.id: run for run in client.read_flow_runs(flow_run_filter=only, limit=PAGE)}
    return {name: found[run_id] for name, run_id in asked.items() if run_id in found}


def job_flows(kind: JobKind | None = None) -> FlowFilter:
    """Return the filter for the flows whose runs are jobs, or jobs of that kind."""
    return FlowFilter(name=FlowFilterName(any_=flow_names(kind)))


def kinds_of_flows(client: SyncPrefectClient) -> dict[UUID, JobKind]:
    """Return the kind of job of each flow, by the flow's id."""
    return JobRuns(asking_prefect(client)).kinds()


def history(client: SyncPrefectClient, run_id: UUID) -> list[State[Any]]:
    """Return the states that the run has had, oldest first."""
    return sorted(client.read_flow_run_states(run_id), key=lambda state: state.timestamp)


def status_of(kind: JobKind, run: FlowRun) -> JobStatus | None:
    """Return the job status that the run's state stands for; None if it stands for none."""
    return None if run.state is None else from_prefect_state(kind, run.state.type.value, run.state.name).job


def is_planned(run: FlowRun) -> bool:
    """Return whether the run is planned for later, as by a schedule, and so is no job yet."""
    state = run.state
    if state is None or state.type is not StateType.SCHEDULED or state.name != PLANNED:
        return False
    due = state.state_details.scheduled_time
    return due is not None and due > server_now()
