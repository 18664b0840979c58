"""Listing jobs: those that Prefect has, and those of a staging store that it has no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    Operator,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect.errors import CollectError
from prefect_collect.jobfolder import JobFolder
from prefect_collect.jobs._evidence import gone_from_prefect
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._mapping import mapped
from prefect_collect.jobs._reading import StoreLike, job_of, opened
from prefect_collect.runs._names import FLOW_OF_KIND, KIND_OF_FLOW
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Store

_PAGE: Final = 200
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_PLANNED: Final = "Scheduled"
"""What Prefect calls a run that was made for a time to come; what we put into a queue is called Queued."""

_Kinds = dict[UUID, JobKind]
"""The kind of job that each flow makes, by the flow's id."""


@mapped
def list_jobs(limit: int | None = 50, store: StoreLike = None, kind: JobKind | None = None) -> list[Job]:
    """The newest jobs first, at most `limit` of them (None: all); if a store is named, those that are in it.

    Jobs in the store (by default: the default one) whose run Prefect has no more are listed too. What a schedule is to
    start later is not listed before it is due. Raises PrefectUnavailable, PrefectError, StoreError, InvalidLocation.
    """
    if limit is not None and limit <= 0:
        return []
    with get_client(sync_client=True) as client:
        kinds = _kinds(client)
        if store is not None:
            return [*islice(_stored(client, opened(store), kinds, kind), limit)]
        found = [job_of(client, run, None, kinds[run.flow_id]) for run in islice(_runs(client, kind), limit)]
        here = opened(None)
        asked = _asked(client, {*here.folders()} - {job.id for job in found})
        gone = [*islice(_gone(here, (name for name, run in asked if run is None), kind), limit)]
    return sorted([*found, *gone], key=_age, reverse=True)[:limit] if gone else found


def is_planned(run: FlowRun) -> bool:
    """Whether the run was made for a time to come, as by a schedule, and is in no queue before."""
    state = run.state
    if state is None or state.type is not StateType.SCHEDULED or state.name != _PLANNED:
        return False
    due = state.state_details.scheduled_time
    return due is not None and due > datetime.now(UTC)


def _age(job: Job) -> datetime:
    return job.created or _NEVER


def _kinds(client: SyncPrefectClient) -> _Kinds:
    only = FlowFilter(name=FlowFilterName(any_=[*KIND_OF_FLOW]))
    return {flow.id: KIND_OF_FLOW[flow.name] for flow in client.read_flows(flow_filter=only)}


def _runs(client: SyncPrefectClient, kind: JobKind | None) -> Iterator[FlowRun]:
    """The runs that are jobs, without those that are planned only, the one that started last first."""
    ours = FlowFilter(name=FlowFilterName(any_=[FLOW_OF_KIND[one] for one in JobKind if kind in (None, one)]))
    unplanned = FlowRunFilter(
        operator=Operator.or_,  # type: ignore[call-arg]  # it has it from a mixin
        state=FlowRunFilterState(name=FlowRunFilterStateName(not_any_=[_PLANNED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),  # type: ignore[arg-type]
    )
    offset, before = 0, set[UUID]()
    while True:
        runs = client.read_flow_runs(
            flow_filter=ours, flow_run_filter=unplanned, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_PAGE,
            offset=offset,
        )  # fmt: skip
        # Jobs that are made meanwhile push the last ones of a page onto the next.
        yield from (run for run in runs if run.id not in before)
        before = {run.id for run in runs}
        if len(runs) < _PAGE:
            return
        offset += _PAGE


def _stored(client: SyncPrefectClient, store: Store, kinds: _Kinds, kind: JobKind | None) -> Iterator[Job]:
    """The jobs in the store, the newest first, whether or not Prefect has their runs still."""
    runs: list[FlowRun] = []
    lost: list[str] = []
    for name, run in _asked(client, store.folders()):
        if run is None:
            lost.append(name)
        elif kinds.get(run.flow_id) in ((kind,) if kind else JobKind):
            runs.append(run)
    runs.sort(key=lambda run: run.created or _NEVER, reverse=True)
    known = (job_of(client, run, store, kinds[run.flow_id]) for run in runs if JobFolder(store, str(run.id)).exists())
    return merge(known, _gone(store, lost, kind), key=_age, reverse=True)


def _gone(store: Store, names: Iterable[str], kind: JobKind | None) -> Iterator[Job]:
    """The jobs in these folders, of which Prefect has no run, the newest first."""
    made: list[tuple[str, JobFolder]] = []
    for name in names:
        folder = JobFolder(store, name)
        with suppress(CollectError):
            record = folder.record()
            if kind in (None, record.kind):
                made.append((record.created_at, folder))
    for _, folder in sorted(made, key=lambda one: one[0], reverse=True):
        with suppress(CollectError):
            yield gone_from_prefect(folder)


def _asked(client: SyncPrefectClient, names: Iterable[str]) -> Iterator[tuple[str, FlowRun | None]]:
    """Each name with the run of that id, if Prefect has it; it is asked for many at once."""
    rest = iter(names)
    while batch := [*islice(rest, _PAGE)]:
        ids = {name: run_id for name in batch if (run_id := _run_id(name)) is not None}
        only = FlowRunFilter(id=FlowRunFilterId(any_=[*ids.values()]))
        runs = {run.id: run for run in client.read_flow_runs(flow_run_filter=only, limit=_PAGE)} if ids else {}
        yield from ((name, runs.get(ids[name]) if name in ids else None) for name in batch)


def _run_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
