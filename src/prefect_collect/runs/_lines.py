"""What each job notes about itself in Prefect, as labels of its flow run, so that a snapshot of all reads no store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from prefect_collect.results import TaskResult
from prefect_collect.runs._clock import server_now
from prefect_collect.runs._names import KIND_OF_FLOW
from prefect_collect.runs._notes import SOURCE, noted
from prefect_collect.snapshot import JobLine
from prefect_collect.statuses import JobKind, from_prefect_state

ITEMS_LABEL: Final = "prefect-collect.items"
"""The items that the job holds or has delivered, after its last attempt that ended."""

BYTES_LABEL: Final = "prefect-collect.bytes"
"""The bytes of those items."""

_PAGE: Final = 200
"""The most runs that Prefect's server gives at once by default."""

Labels = dict[str, bool | int | float | str]


def result_labels(result: TaskResult) -> Labels:
    """To note when an attempt ends: what the job has by now."""
    return {ITEMS_LABEL: result.counts.succeeded, BYTES_LABEL: result.counts.bytes}


def all_runs(client: SyncPrefectClient) -> Iterator[tuple[FlowRun, JobKind]]:
    """Every job that Prefect still has, read page by page."""
    only = FlowFilter(name=FlowFilterName(any_=[*KIND_OF_FLOW]))
    kinds = {flow.id: KIND_OF_FLOW[flow.name] for flow in client.read_flows(flow_filter=only)}
    offset, before = 0, set[UUID]()
    while kinds:
        runs = client.read_flow_runs(flow_filter=only, sort=FlowRunSort.ID_DESC, limit=_PAGE, offset=offset)
        # Jobs that are made meanwhile push the last ones of a page onto the next.
        yield from ((run, kinds[run.flow_id]) for run in runs if run.id not in before and not _is_planned(run))
        before = {run.id for run in runs}
        if len(runs) < _PAGE:
            return
        offset += _PAGE


def _is_planned(run: FlowRun) -> bool:
    """Whether it is one of the runs that Prefect makes ahead for a schedule, and so no job yet."""
    due = run.state.state_details.scheduled_time if run.state is not None else None
    return run.state_name == "Scheduled" and due is not None and due > server_now()


def lines_from_runs(runs: Iterable[tuple[FlowRun, JobKind]]) -> Iterator[JobLine]:
    """The jobs of the snapshot, from flow runs and the kind of job that each is; reads nothing but the runs."""
    for run, kind in runs:
        state = run.state
        status = None if state is None else from_prefect_state(kind, state.type.value, state.name).job
        labels: dict[str, Any] = run.labels or {}
        yield JobLine(kind, status, noted(run, SOURCE), _number(labels, ITEMS_LABEL), _number(labels, BYTES_LABEL))


def _number(labels: dict[str, Any], name: str) -> int:
    """The label's number, written as a number or in digits; 0 if a person has put something else there."""
    value = str(labels.get(name, ""))
    return int(value) if value.isascii() and value.isdigit() else 0
