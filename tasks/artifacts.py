"""What a job shows in Prefect's UI: progress while it runs, then its page, its errors and where its report is.

Nothing here may end a job: an artifact that Prefect does not take is only logged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

from prefect_collect import layout, pages
from prefect_collect._markdown import code, plain
from prefect_collect.control import Progress
from prefect_collect.results import TaskResult
from prefect_collect.stores import Store

_EVERY = 1.0


@contextmanager
def shown_progress(job_id: str, progress: Progress) -> Iterator[None]:
    """Keep a progress artifact up to date, at most once a second, from a thread of its own."""
    over = threading.Event()
    # Made in the run's own thread: the artifact takes its flow run from the context.
    artifact = _quietly(create_progress_artifact, 0.0, key=f"progress-{job_id}", description="Starting")

    def keep() -> None:
        while not over.wait(_EVERY):
            _update(artifact, progress)

    thread = threading.Thread(target=keep, name=f"progress-{job_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _update(artifact, progress)


def _update(artifact: UUID | None, progress: Progress) -> None:
    if artifact is None:
        return
    share = 100.0 * progress.done / progress.found if progress.found else 0.0
    if progress.listing:
        share = min(share, 99.0)
    with suppress(Exception):
        update_progress_artifact(artifact, min(share, 100.0), pages.progress_text(progress))


def show_result(result: TaskResult, name: str, source: str, destination: Store | None = None) -> None:
    """The job's page, its first errors as a table, and a link to the whole report.

    `destination` is the store that an export wrote to.
    """
    _quietly(_show_page, result, name, source, destination)
    if result.codes:
        _quietly(_show_errors, result)
        _quietly(_show_report, result)


def _show_page(result: TaskResult, name: str, source: str, destination: Store | None) -> Any:
    page = pages.job_page(result, name, source, destination)
    return create_markdown_artifact(page, key=f"job-{result.job_id}", description=f"{plain(name)}: {result.status}")


def _show_errors(result: TaskResult) -> Any:
    return create_table_artifact(
        pages.grouped_errors(result),
        key=f"errors-{result.job_id}",
        description="What did not succeed: summary, then the first 100 items",
    )


def _show_report(result: TaskResult) -> Any:
    """A link to the report, and in words where it stays when the link has expired."""
    link = pages.report_link(result, "errors.csv")
    if link is None:
        return None
    lasting = code(result.unsuccessful.store.locate(layout.report_key(result.job_id, result.attempt, "errors.csv")))
    notes = pages.lifetime(result, link)
    return create_link_artifact(
        link,
        link_text="errors.csv",
        key=f"report-{result.job_id}",
        description=f"The whole error report: {lasting}{f' ({notes})' if notes else ''}",
    )


def _quietly(create: Any, *args: Any, **kwargs: Any) -> UUID | None:
    try:
        made: UUID | None = create(*args, **kwargs)
    except Exception as error:
        get_run_logger().warning("Prefect did not take an artifact of this job: %s", error)
        return None
    return made
