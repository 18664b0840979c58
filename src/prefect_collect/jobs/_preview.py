"""Preview a collection's items, and the evidence of a job that its steps read: Prefect only helps to find it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect_collect.errors import ActionNotAllowed, JobNotFound, PrefectError
from prefect_collect.escaping import one_line
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import Vouched, vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._stores import opened
from prefect_collect.runs.prefect_settings import api_url
from prefect_collect.statuses import NextStep, require_step

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike

_LOG: Final = logging.getLogger(__name__)


def folder_offering(job_id: str | UUID, store: StoreLike, step: NextStep) -> JobFolder:
    """Return the job's folder: in the named store, in the default one, else in the one of the run's parameters.

    Raise ActionNotAllowed if Prefect answers and the job's status there does not offer the step: the staging store does
    not show that a job is a draft, or that it is queued again.
    """
    job = _live(job_id, store)
    if job is not None and job.status is not None:
        require_step(job.kind, job.status, step)
    folder = JobFolder(opened(store), str(job_id))
    if store is None and not folder.exists():
        from prefect_collect.jobs.lookup import get

        return (job or get(job_id)).folder
    return folder


def _live(job_id: str | UUID, store: StoreLike) -> Job | None:
    """Return the job as Prefect shows it; None if no server is configured or answers, or it has no such job."""
    if api_url() is None:
        return None
    from prefect_collect.jobs.lookup import get

    try:
        return get(job_id, store)
    except (JobNotFound, PrefectError):
        return None


def log_warning(warning: str) -> None:
    """Log a warning."""
    _LOG.warning("%s", one_line(warning))


def vouched_result(folder: JobFolder, step: NextStep, warn: Callable[[str], object]) -> tuple[TaskResult, Vouched]:
    """Return the job's last result, and the evidence whose hashes vouch for it and for its items.

    `warn` is called if the custody log vouched for them only later. Nothing is written: the user may have no permission
    to write.
    """
    result = folder.present()
    if result is None:
        record = folder.record()
        raise ActionNotAllowed(
            f"The {record.kind} has no result yet, so there is nothing to {step.value.lower()}. [job={folder.job_id}]"
        )
    require_step(result.kind, result.status, step)
    evidence = vouched(folder, result.attempt, enter=False)
    if late := evidence.late(result.attempt):
        warn(late)
    return evidence.result(result.attempt), evidence


@mapped
def preview(
    job_id: str | UUID, limit: int = 20, store: StoreLike = None, *, warn: Callable[[str], object] = log_warning
) -> list[dict[str, Any]]:
    """Return the first items that a collection holds: path, size, modification time, SHA-256 (hex), and segment.

    Args:
        job_id: The job's id.
        limit: The most items to return.
        store: The job's staging store; by default the one in the job's parameters, or the default store.
        warn: Called with a sentence if the custody log vouched for the files only later; by default it is logged.

    Raises:
        ActionNotAllowed: The job's status does not offer Preview.
        JobNotFound: There is no such job.
        EvidenceError: The custody log is damaged, or the files do not match it.
    """
    rows: list[dict[str, Any]] = []
    columns = ["path", "original_path", "size", "source_modified", "sha256", "segment", "offset"]
    result, evidence = vouched_result(folder_offering(job_id, store, NextStep.PREVIEW), NextStep.PREVIEW, warn)
    for batch in evidence.batches(store_keys.manifest_key(result.job_id, result.attempt), columns):
        rows += batch.slice(0, limit - len(rows)).to_pylist()
        if len(rows) >= limit:
            break
    return [{**row, "sha256": row["sha256"].hex()} for row in rows]
