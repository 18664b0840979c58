"""Read a job from its staging store alone, without a Prefect server.

A job's state in Prefect is computed from the result that closes an attempt, so a closed attempt gives the same status.
An attempt that is not closed is running, or its process died before it could close it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect_collect.errors import AttemptSuperseded, KeyMissing
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.jobs._job import Job
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus

_LOST: Final = " Its process had to end early; Prefect may have queued the job again since."


def job_from_evidence(folder: JobFolder) -> Job:
    """Return the job in that folder. Raise JobNotFound, CorruptPart, StoreError."""
    record = folder.record()
    status, task_status, message = _status(folder)
    return Job(
        id=folder.job_id,
        kind=record.kind,
        name=record.name,
        status=status,
        task_status=task_status,
        message=message,
        created=datetime.fromisoformat(record.created_at) if record.created_at else None,
        place=folder,
    )


def gone_from_prefect(folder: JobFolder) -> Job:
    """Return the job in that folder, whose run was deleted in Prefect: as recorded, with the task status UNKNOWN.

    A job whose end is not recorded has no job status either. Raise JobNotFound, CorruptPart, StoreError.
    """
    job = job_from_evidence(folder)
    recorded, status, abandoned = job.message, job.status, False
    if status in (None, JobStatus.IN_PROGRESS):
        works = _is_worked_on(folder)
        if status is not None:
            worker = "a process works on it" if works else "no process that can be seen from here works on it"
            recorded = f"Attempt {folder.attempts()[-1]} has not ended, and {worker}."
        status, abandoned = None, not works
    message = f"Prefect has no run of this job any more; its staging store recorded: {recorded}"
    return replace(
        job, status=status, task_status=TaskStatus.UNKNOWN, message=message, abandoned=abandoned,
        is_deleted_in_prefect=True,
    )  # fmt: skip


def unreadable(folder: JobFolder, why: str) -> Job:
    """Return a job whose record cannot be read: without a name, and with `why` as its message."""
    return Job(folder.job_id, JobKind.COLLECTION, "", None, TaskStatus.UNKNOWN, why, created=None, place=folder)


def _is_worked_on(folder: JobFolder) -> bool:
    """Return whether a process on this machine works on the job; one on another machine stops when its run is gone."""
    from prefect_collect.runs.session import session_of  # asked only of runs that Prefect lacks

    with suppress(ValueError):
        if session_of(UUID(folder.job_id)) is not None:
            return True
    try:
        folder.require_idle()
    except AttemptSuperseded:
        return True
    return False


def _status(folder: JobFolder) -> tuple[JobStatus | None, TaskStatus, str]:
    attempts = folder.attempts()
    closed = folder.closed_attempts()
    if not attempts:
        return None, TaskStatus.UNKNOWN, "No attempt was started."
    if attempts[-1] in closed:
        result = folder.result(attempts[-1])
        assert result is not None
        lost = _LOST if "worker_lost" in result.codes else ""
        return result.status, result.task_status, f"{result.message}{lost}"
    task_status = TaskStatus.PROCESSING if folder.moves_data() else TaskStatus.IN_PROGRESS
    return JobStatus.IN_PROGRESS, task_status, _running(folder)


def _running(folder: JobFolder) -> str:
    try:
        claim = folder.claimed(folder.attempts()[-1])
    except KeyMissing:
        return ""
    if is_gone(claim):
        return f"The process that ran it is gone; `prefect-collect retry {folder.job_id}` resumes it."
    return f"Started by {claim.get('claimed_by', 'an unknown user')}."
