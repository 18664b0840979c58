"""The labels that hold a job's items and bytes, so that a snapshot of all jobs needs no staging store."""

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
"""The number of items that the job holds or has delivered, as of its last attempt that ended."""

BYTES_LABEL: Final = "prefect-collect.bytes"
"""The bytes of those items."""

RATE_LABEL: Final = "prefect-collect.success-rate"
"""The success rate of that attempt, in percent (`TaskResult.success_rate`)."""


DUPLICATES_LABEL: Final = "prefect-collect.duplicates"
"""The number of an export's items that have the bytes of another."""

WITHHELD_LABEL: Final = "prefect-collect.duplicates-withheld"
"""How many of them it has not delivered again."""


def result_labels(result: TaskResult) -> Labels:
    """Return the labels to set when an attempt ends."""
    found = result.duplicates
    return {
        ITEMS_LABEL: result.counts.succeeded, BYTES_LABEL: result.counts.bytes,
        RATE_LABEL: round(result.success_rate, 4),
        **({} if found is None else {DUPLICATES_LABEL: found.items, WITHHELD_LABEL: found.withheld}),
    }  # fmt: skip


def success_rate(run: FlowRun) -> float | None:
    """Return the success rate, in percent, of the job's last attempt that ended; None if the run's label has none."""
    value = (run.labels or {}).get(RATE_LABEL)
    is_rate = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    return float(value) if is_rate and value is not None else None


def all_runs(client: SyncPrefectClient) -> Iterator[tuple[FlowRun, JobKind]]:
    """Yield every job that Prefect has, with its kind, page by page."""
    kinds = kinds_of_flows(client)
    if kinds:
        runs = flow_runs(client, flows=job_flows())
        yield from ((run, kinds[run.flow_id]) for run in runs if run.flow_id in kinds and not is_planned(run))


def job_lines(runs: Iterable[tuple[FlowRun, JobKind]]) -> Iterator[JobLine]:
    """Return a line of the snapshot for each flow run, of which the kind of job is given; reads only the runs."""
    return (job_line(run, kind) for run, kind in runs)


def job_line(run: FlowRun, kind: JobKind) -> JobLine:
    """Return the line of the snapshot for a flow run."""
    labels: dict[str, Any] = run.labels or {}
    return JobLine(
        kind,
        status_of(kind, run),
        label_of(run, SOURCE),
        _number(labels, ITEMS_LABEL),
        _number(labels, BYTES_LABEL),
        _number(labels, DUPLICATES_LABEL),
        _number(labels, WITHHELD_LABEL),
    )


def _number(labels: dict[str, Any], name: str) -> int:
    """Return the label's value as a number; 0 if a user has set it to anything else."""
    value = str(labels.get(name, ""))
    return int(value) if value.isascii() and value.isdigit() else 0
