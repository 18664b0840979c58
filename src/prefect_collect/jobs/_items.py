"""Single items of a collection, and selections of items to retry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.custody_events import DOWNLOADED_ITEM, VIEWED
from prefect_collect.job_folder.selections import save_selection as saved_selection
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import get
from prefect_collect.packages import HeldItem, held_item
from prefect_collect.statuses import NextStep, require_step

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike


@mapped
def item_files(job_id: str | UUID | Job, *, attempt: int | None = None, store: StoreLike = None) -> CheckedFiles:
    """Return the manifest and the error report of an attempt that has ended, checked against the custody log.

    Args:
        job_id: The job's id, or the job.
        attempt: The attempt's number; by default the last that has ended.
        store: The job's staging store, as for `get`.

    Raises:
        JobNotFound: There is no such job, or it has no such attempt.
        EvidenceError: The custody log is damaged, or the files do not match it.
        StoreError: The files cannot be read.
    """
    job = job_id if isinstance(job_id, Job) else get(job_id, store)
    closed = job.folder.closed_attempts()
    if not closed or (attempt is not None and attempt not in closed):
        what = "No attempt of the job has ended yet" if not closed else f"The job has no attempt {attempt} that ended"
        raise JobNotFound(f"{what}, so there is no list of its items. [job={job.id}]")
    return CheckedFiles(job.folder, closed[-1] if attempt is None else attempt)


@mapped
def open_item(
    job_id: str | UUID | Job,
    row: int,
    *,
    attempt: int | None = None,
    store: StoreLike = None,
    download: bool = False,
    attachment: int = 0,
    files: CheckedFiles | None = None,
) -> HeldItem:
    """Return one item that a collection holds, and record in its custody log that it was viewed or downloaded.

    `HeldItem.read` yields the item's bytes, which are proven by their SHA-256.

    Args:
        job_id: The job's id, or the job.
        row: The item's row in the manifest, from 0.
        attempt: The attempt whose manifest is meant; by default the last.
        store: The job's staging store, as for `get`.
        download: True to record ``downloaded-item``, False to record ``viewed``.
        attachment: The number of an attachment of the item, an e-mail, to record that it alone was viewed or
            downloaded, from 1; 0 for the item as a whole.
        files: The attempt's files as `item_files` returns them, for programs that open many items.

    Raises:
        ActionNotAllowed: The job's status does not offer Preview.
        UsageError: The manifest has no such row.
        JobNotFound: There is no such job.
        EvidenceError: The custody log is damaged, or the manifest does not match it.
        StoreError: The manifest cannot be read, or the entry cannot be written: then the item is not returned.
    """
    job = job_id if isinstance(job_id, Job) else get(job_id, store)
    if job.status is None:
        raise ActionNotAllowed(f"The job's status is not known, so its items are not shown. [job={job.id}]")
    require_step(job.kind, job.status, NextStep.PREVIEW)
    files = files or item_files(job, attempt=attempt)
    item = held_item(files, row)
    details = {"attempt": files.attempt, "row": row, "item": item.item_id, "path": item.path, "sha256": item.sha256}
    if attachment:
        details["attachment"] = attachment
    custody_log.append(files.folder, DOWNLOADED_ITEM if download else VIEWED, details)
    return item


@mapped
def save_selection(
    job_id: str | UUID | Job, rows: Iterable[int], *, store: StoreLike = None, files: CheckedFiles | None = None
) -> str:
    """Save items of the job's last error report in its folder, and return what to give to `retry` as `only`.

    Skipped items, and rows about the job as a whole, are left out.

    Args:
        job_id: The job's id, or the job.
        rows: The rows of the report, from 0.
        store: The job's staging store, as for `get`.
        files: The files of the job's last attempt as `item_files` returns them.

    Raises:
        UsageError: No item is left, or the report has no such row.
        ActionNotAllowed: The job's status does not offer Retry, or `files` are not of its last attempt.
        JobNotFound: There is no such job, or none of its attempts has ended.
        EvidenceError: The custody log is damaged, or the report does not match it.
        StoreError: The report cannot be read, or the selection cannot be written.
    """
    job = job_id if isinstance(job_id, Job) else get(job_id, store)
    if job.status is None:
        raise ActionNotAllowed(f"The job's status is not known, so it cannot be retried. [job={job.id}]")
    require_step(job.kind, job.status, NextStep.RETRY)
    if files is not None and files.attempt != max(job.folder.closed_attempts(), default=0):
        raise ActionNotAllowed(
            f"Another attempt of the job has ended since; select the items in its error report. [job={job.id}]"
        )
    return saved_selection(files or item_files(job), rows)
