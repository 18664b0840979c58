"""What each job notes about itself in Prefect, as labels of its flow run, so that a snapshot of all reads no store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.snapshot import JobLine
from prefect_collect.runs.labels import SOURCE, Labels, label_of
from prefect_collect.runs.queries import flow_runs, is_planned, job_flows, kinds_of_flows, status_of
from prefect_collect.statuses import JobKind

ITEMS_LABEL: Final = "prefect-collect.items"
"""The items that the job holds or has delivered, after its last attempt that ended."""

BYTES_LABEL: Final = "prefect-collect.bytes"
"""The bytes of those items."""


def result_labels(result: TaskResult) -> Labels:
    """To note when an attempt ends: what the job has by now."""
    return {ITEMS_LABEL: result.counts.succeeded, BYTES_LABEL: result.counts.bytes}


def all_runs(client: SyncPrefectClient) -> Iterator[tuple[FlowRun, JobKind]]:
    """Every job that Prefect still has, read page by page."""
    kinds = kinds_of_flows(client)
    if kinds:
        runs = flow_runs(client, flows=job_flows())
        yield from ((run, kinds[run.flow_id]) for run in runs if run.flow_id in kinds and not is_planned(run))


def job_lines(runs: Iterable[tuple[FlowRun, JobKind]]) -> Iterator[JobLine]:
    """The jobs of the snapshot, from flow runs and the kind of job that each is; reads nothing but the runs."""
    for run, kind in runs:
        labels: dict[str, Any] = run.labels or {}
        yield JobLine(
            kind,
            status_of(kind, run),
            label_of(run, SOURCE),
            _number(labels, ITEMS_LABEL),
            _number(labels, BYTES_LABEL),
        )


def _number(labels: dict[str, Any], name: str) -> int:
    """The label's number, written as a number or in digits; 0 if a user has put something else there."""
    value = str(labels.get(name, ""))
    return int(value) if value.isascii() and value.isdigit() else 0
