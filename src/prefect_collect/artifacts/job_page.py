"""The artifacts of a job in Prefect's UI: its page from the queue to its end, its progress, its errors, its report.

No error here ends a job: if Prefect refuses an artifact, that is only logged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, SyncClientContext
from prefect.logging import get_logger
from prefect.utilities.urls import url_for

from prefect_collect.artifacts.job_artifact import JobArtifact, ProgressArtifact, create
from prefect_collect.errors import CollectError
from prefect_collect.escaping import markdown, markdown_code, one_line
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.estimates import Estimate, estimate_of
from prefect_collect.job_folder.exports_made import ExportMade, exports_of_folder
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages import ended_job, running_job
from prefect_collect.pages.console_links import ConsoleLinks
from prefect_collect.pages.ended_job import RunPage
from prefect_collect.pages.error_table import errors_page
from prefect_collect.pages.pace import Pace
from prefect_collect.pages.running_job import Heading, QueuePlace
from prefect_collect.runs.console_address import console_links
from prefect_collect.runs.custodian_label import custodian_of
from prefect_collect.runs.labels import QUEUED, label_of
from prefect_collect.runs.source_queue import QueueState, SourceQueue
from prefect_collect.runs.turn import waiting_reason
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.threads.progress import Progress

_EVERY: Final = 1.0
"""Seconds between two updates of the progress artifact."""

_NEXT: Final = 10
"""The number of jobs in a queue whose pages are updated when a job of the queue has ended."""

_PATIENCE: Final = 10.0
"""Seconds that a job waits at its end until its last progress is shown; Prefect's server may be down."""


def heading(
    job_id: str, kind: JobKind, name: str, source: str, *, has_deployment: bool | None = None, custodian: str = ""
) -> Heading:
    """Return the data that every page of the job shows.

    `has_deployment` is needed outside the job's run; within it, it is read from the run's context.
    """
    if has_deployment is None:
        has_deployment = _has_deployment(job_id)
    return Heading(job_id, kind, name, source, _run_page(job_id, has_deployment), custodian, console_links())


def show_status(shown: Heading, status: JobStatus, message: str = "") -> None:
    """Show the page of a job that only has a status: Drafted, Awaiting collection, or ended without a result."""
    page = running_job.status_page(shown, status, message)
    _quietly(JobArtifact(shown.job_id).show, page, _description(shown, status), ended=status.is_terminal)


def show_queued(shown: Heading, place: QueuePlace) -> None:
    """Show the page of a queued job at this place; call it again when the place changes."""
    if place.holder is not None and place.holder_page is None:
        place = replace(place, holder_page=_run_page(place.holder, has_deployment=False))
    page = running_job.queue_page(shown, place, datetime.now(UTC))
    _quietly(JobArtifact(shown.job_id).show, page, _description(shown, JobStatus.QUEUED))


def show_queue(kind: JobKind, source: str, run: FlowRun) -> None:
    """Show the page of a queued job with its present place, which is read from Prefect. Never raise."""
    shown = heading_of(run, kind, source)
    _quietly(_show_queue, shown, SourceQueue(kind, source), run)


def show_places(queue_state: QueueState, queue: SourceQueue) -> None:
    """Update the pages of the next jobs in the queue of a job that has ended."""
    for run in queue_state.waiting[:_NEXT]:
        show_queued(heading_of(run, queue.kind, queue.source), _place(queue_state, run))


def heading_of(run: FlowRun, kind: JobKind, source: str) -> Heading:
    """Return the data that every page of a run's job shows."""
    return heading(
        str(run.id), kind, run.name, source, has_deployment=run.deployment_id is not None,
        custodian=custodian_of(run.parameters, run.labels),
    )  # fmt: skip


def _show_queue(shown: Heading, queue: SourceQueue, run: FlowRun) -> None:
    with get_client(sync_client=True) as client:
        queue_state = queue.read(client)
        run = client.read_flow_run(run.id)
    show_queued(shown, _place(queue_state, run))


def _place(queue_state: QueueState, run: FlowRun) -> QueuePlace:
    holder = next((str(holding.id) for holding in queue_state.holding if holding.id != run.id), None)
    queued = label_of(run, QUEUED)
    since = datetime.fromisoformat(queued) if queued else None
    return QueuePlace(holder, queue_state.before(run.id), since, reason=waiting_reason(queue_state, run.id))


@contextmanager
def shown_progress(
    job_id: str,
    progress: Progress,
    shown: Heading | None = None,
    *,
    attempt: int = 1,
    previous: TaskResult | None = None,
) -> Iterator[None]:
    """Keep the progress artifact, and the job's page if `shown` is given, up to date from a thread of its own.

    When the context ends, the thread ends too; if Prefect's server does not answer, the thread is abandoned. The
    artifact is made after a second, or at the end: what is over in a moment is shown once.

    Args:
        job_id: The job's id.
        progress: Its progress.
        shown: The data for the job's page; None to keep only the progress artifact.
        attempt: The number of this attempt.
        previous: The result of the previous attempt, to compare with.
    """
    updates = _Updates(job_id, progress, shown, attempt, previous)
    thread = threading.Thread(target=updates.run, name=f"progress-{job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        updates.over.set()
        thread.join(_PATIENCE)
        if not thread.is_alive():
            updates.finish()


class _Updates:
    """The thread that updates the progress artifact and the job's page while an attempt runs."""

    def __init__(
        self,
        job_id: str,
        progress: Progress,
        shown: Heading | None,
        attempt: int,
        previous: TaskResult | None,
    ) -> None:
        self.over = threading.Event()
        self._progress, self._artifact, self._pace = progress, ProgressArtifact(job_id, _PATIENCE), Pace()
        self._shown, self._attempt, self._previous = shown, attempt, previous
        self._page = None if shown is None else JobArtifact(shown.job_id)

    def run(self) -> None:
        """Update once a second, the page every 10 seconds, until `over` is set."""
        self._pace.look(self._progress)
        if self.over.wait(_EVERY):  # what is over in a moment is shown with its result alone
            return
        looks = 0
        with suppress(Exception), SyncClientContext():  # one client for all updates
            while True:
                self._pace.look(self._progress)
                if looks % round(running_job.PAGE_EVERY / _EVERY) == 0:
                    self._renew()
                self._update()
                looks += 1
                if self.over.wait(_EVERY):
                    return

    def finish(self) -> None:
        """Show the last progress, in the run's own thread and by its client."""
        self._pace.look(self._progress)
        self._update()

    def _update(self) -> None:
        text = running_job.progress_text(self._progress, self._pace)
        items, size = self._held()
        with suppress(Exception):  # the next second, or the job's page, shows more
            self._artifact.show(running_job.share_done(self._progress), text, items=items, size=size)

    def _held(self) -> tuple[int, int]:
        """Return the items that the job holds so far, and their bytes; of an export, what this attempt has done."""
        items, size = self._progress.succeeded, self._progress.bytes
        if self._previous is None or self._previous.kind is JobKind.EXPORT:
            return items, size
        return self._previous.counts.succeeded + items, self._previous.counts.bytes + size

    def _renew(self) -> None:
        if self._shown is None or self._page is None:
            return
        page = running_job.progress_page(
            self._shown, self._progress, self._pace, datetime.now(UTC), attempt=self._attempt, previous=self._previous
        )
        with suppress(Exception):
            self._page.show(page, _description(self._shown, JobStatus.IN_PROGRESS))


def show_result(
    result: TaskResult,
    name: str,
    source: str,
    *,
    has_deployment: bool | None = None,
    custodian: str = "",
) -> bool:
    """Show the job's page, its first errors, and where the whole report is; return whether the page was shown.

    Args:
        result: The job's result.
        name: The name of its flow run.
        source: The data source, as the user named it.
        has_deployment: Needed outside the job's run: whether the run is of a deployment.
        custodian: The person or department whose data was collected, if known.
    """
    shown = heading(result.job_id, result.kind, name, source, has_deployment=has_deployment, custodian=custodian)
    page = _quietly(_show_page, shown, result)
    if result.codes:
        _quietly(_show_errors, result, shown.console)
        _quietly(_show_report, result, shown.console)
    return page is not None


def _show_page(shown: Heading, result: TaskResult) -> UUID:
    page = ended_job.job_page(
        result, shown.name, shown.source, shown.run_page, custodian=shown.custodian, console=shown.console,
        exports=_exports(result), estimate=_estimate(result),
    )  # fmt: skip
    return JobArtifact(result.job_id).show(page, _description(shown, result.status), ended=True)


def _exports(result: TaskResult) -> list[ExportMade]:
    """Return the finished exports of a collection that was tried again; none if its custody log cannot be read."""
    if result.kind is JobKind.COLLECTION and result.attempt > 1 and result.store is not None:
        with suppress(CollectError):
            return exports_of_folder(JobFolder(result.store, result.job_id))
    return []


def _estimate(result: TaskResult) -> Estimate | None:
    """Return what was expected of a collection; None if nothing was, or its record cannot be read."""
    if result.kind is JobKind.COLLECTION and result.store is not None:
        with suppress(CollectError):
            return estimate_of(JobFolder(result.store, result.job_id).record())
    return None


def _show_errors(result: TaskResult, console: ConsoleLinks | None) -> None:
    create(
        result.job_id,
        f"errors-{result.job_id}",
        "markdown",
        errors_page(result, console=console),
        "What did not succeed: summary, then the first 100 items",
    )


def _show_report(result: TaskResult, console: ConsoleLinks | None) -> None:
    """Show links to the whole report, and its location; the location alone if no console is known."""
    key = store_keys.report_key(result.job_id, result.attempt, "errors.csv")
    location = markdown_code(result.unsuccessful.store.locate(key))
    data = location if console is None else ended_job.report_links(result, console)
    create(result.job_id, f"report-{result.job_id}", "markdown", data, f"The complete error report: {location}")


def _description(shown: Heading, status: JobStatus) -> str:
    return f"{markdown(shown.name)}: {status}"


def _run_page(job_id: str, has_deployment: bool) -> RunPage | None:
    """Return the run's page; None if the UI's address is not known, as with a server that a process starts itself."""
    url = url_for("flow-run", obj_id=job_id)
    return RunPage(url, has_deployment) if url else None


def _has_deployment(job_id: str) -> bool:
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    return run is not None and str(run.id) == job_id and run.deployment_id is not None


def _quietly(show: Any, *args: Any, **kwargs: Any) -> UUID | None:
    try:
        made: UUID | None = show(*args, **kwargs)
    except Exception as error:
        get_logger("prefect_collect").warning("Prefect refused an artifact of this job: %s", one_line(str(error)))
        return None
    return made
