"""Publishing a job's change of status: the event for automations, and the job's page for users."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging import get_logger

from prefect_collect.artifacts.job_artifact import is_of_ended
from prefect_collect.artifacts.job_page import heading_of, show_queue, show_result, show_status
from prefect_collect.escaping import one_line
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.runs.events import emit_status
from prefect_collect.runs.labels import SOURCE, label_of
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus


def publish_status(
    kind: JobKind,
    status: JobStatus | TaskStatus,
    run: FlowRun,
    message: str = "",
    result: TaskResult | None = None,
    *,
    source: str = "",
    occasion: UUID | None = None,
    is_shown: bool = False,
) -> None:
    """Send the event of the run's new status, and show the status on the job's page. Never raise.

    It works in the run, in another run and in a plain process. A job in progress shows its page itself
    (`job_page.shown_progress`), and so does a job that waits for its turn in its own process (`job_page.show_queue`). A
    result that the page already shows is not shown again.

    Args:
        kind: Collection or export.
        status: The new status.
        run: The job's flow run.
        message: The reason, for the page and the event.
        result: The job's result, if it has ended with one.
        source: The data source's name; by default it is taken from the run's labels.
        occasion: If several processes may publish the same change, the id of the state that the run leaves: Prefect
            then keeps one event.
        is_shown: Whether the page shows the status already.
    """
    source = source or label_of(run, SOURCE)
    emit_status(
        kind, status, job_id=str(run.id), name=run.name, source=source, message=message, result=result,
        deployment_id=run.deployment_id, occasion=occasion,
    )  # fmt: skip
    if is_shown:
        return
    try:
        _show(kind, status, run, message, result, source)
    except Exception as error:
        get_logger("prefect_collect").warning(
            "The page of job %s could not show the status %s: %s", run.id, status, one_line(str(error))
        )


def _show(
    kind: JobKind,
    status: JobStatus | TaskStatus,
    run: FlowRun,
    message: str,
    result: TaskResult | None,
    source: str,
) -> None:
    if status is JobStatus.IN_PROGRESS:
        return
    if status is JobStatus.QUEUED:
        if not _is_this_run(run):
            show_queue(kind, source, run)
        return
    if result is not None and result.status is status:
        if not is_of_ended(result.job_id):
            shown = heading_of(run, kind, source)
            show_result(
                result, shown.name, source, has_deployment=run.deployment_id is not None, custodian=shown.custodian
            )
        return
    reached = JobStatus.CANCELED if status is TaskStatus.SKIPPED else JobStatus(status)
    show_status(heading_of(run, kind, source), reached, message)


def _is_this_run(run: FlowRun) -> bool:
    context: Any = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.id == run.id
