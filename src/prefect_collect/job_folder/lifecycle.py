"""The life of a job in its folder: created, each attempt claimed and closed, every step with its custody entry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect_collect.errors import AttemptSuperseded, KeyExists
from prefect_collect.job_folder import custody_events, custody_log, store_keys
from prefect_collect.job_folder.custody_rules import require_whole
from prefect_collect.job_folder.folder import JobFolder, JobRecord, json_bytes, now
from prefect_collect.job_folder.process_identity import this_process
from prefect_collect.job_folder.result import TaskResult


def create_job(folder: JobFolder, record: JobRecord) -> JobRecord:
    """Write ``job.json``, or return the existing one: a job is described once, by its first attempt.

    Raise JobNotFound if the job was deleted.
    """
    custody_log.require_not_deleted(folder)
    record = JobRecord(**{**asdict(record), "created_at": now().isoformat(), "created_by": folder.who})
    try:
        folder.store.create(store_keys.job_key(folder.job_id), json_bytes(asdict(record)))
    except KeyExists:
        return folder.record()
    custody_events.record_created(folder)
    return record


def claim_attempt(folder: JobFolder, details: dict[str, Any] | None = None) -> int:
    """Claim the next attempt's number, which only one process can, and return it.

    Raise AttemptSuperseded if another process was faster, EvidenceError if there are earlier attempts and the custody
    log is not whole, because the new attempt builds on what they left.
    """
    folder.require_idle()
    require_whole(folder)
    custody_events.record_missed_events(folder)
    attempt = max(folder.attempts(), default=0) + 1
    claim = {"claimed_at": now().isoformat(), "claimed_by": folder.who, **this_process(), **(details or {})}
    try:
        folder.store.create(store_keys.attempt_key(folder.job_id, attempt), json_bytes(claim))
    except KeyExists as error:
        raise AttemptSuperseded(
            f"Another process has just started attempt {attempt} of this job; this process stops. [job={folder.job_id}]"
        ) from error
    custody_events.record_start(folder, attempt)
    return attempt


def record_result(folder: JobFolder, result: TaskResult) -> None:
    """Write ``result.json``, which ends the attempt. Raise AttemptSuperseded if another process has closed it."""
    try:
        folder.store.create(store_keys.result_key(folder.job_id, result.attempt), json_bytes(result.to_json()))
    except KeyExists as error:
        raise AttemptSuperseded(
            f"Attempt {result.attempt} was closed by another process. [job={folder.job_id}]"
        ) from error
    custody_events.record_end_if_possible(folder, result)
