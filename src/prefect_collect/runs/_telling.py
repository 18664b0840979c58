"""Telling Prefect's event feed of a run's change of status."""

from __future__ import annotations

from prefect.client.schemas.objects import FlowRun

from prefect_collect.results import TaskResult
from prefect_collect.runs._events import emit_status
from prefect_collect.runs._notes import SOURCE, noted
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus


def tell(
    kind: JobKind,
    status: JobStatus | TaskStatus,
    run: FlowRun,
    message: str = "",
    result: TaskResult | None = None,
    *,
    source: str = "",
) -> None:
    """Emit the event of a status that the run has come to. Never raises."""
    emit_status(
        kind, status, job_id=str(run.id), name=run.name, source=source or noted(run, SOURCE), message=message,
        result=result, deployment_id=run.deployment_id,
    )  # fmt: skip
