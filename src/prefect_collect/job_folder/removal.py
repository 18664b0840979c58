"""Deletes a job's folder; only the custody log's last entry, which records the deletion, stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prefect_collect.errors import EvidenceError, JobNotFound
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.custody_log import DELETED, Entry
from prefect_collect.job_folder.custody_rules import damage_of
from prefect_collect.job_folder.folder import JobFolder


def remove_job(folder: JobFolder, who: str | None = None, details: Mapping[str, Any] | None = None) -> int:
    """Delete all files of the job but the last entry of its custody log; return how many files were deleted.

    Nothing outside of the job's folder is touched, and no symbolic link in it is followed. First the entry ``deleted``
    is written, with the hash of the entry before it, a description of the job and its last status, and what was wrong
    with the log itself; then job.json is deleted, and then the rest. If the process dies in between, the job no longer
    exists for others, and another call finishes the deletion. The caller must make sure that the job may be deleted: a
    process that still runs it is not stopped.

    Raise JobNotFound if there is nothing of the job, StoreError.
    """
    store, job_id = folder.store, folder.job_id
    kept = store_keys.custody_key(job_id, (deletion(folder) or _enter(folder, who, details or {})).number)
    count = 0
    if folder.exists():
        store.remove([store_keys.job_key(job_id)])
        count += 1
    for name in store.folders(f"{job_id}/"):
        if name != "custody":
            count += store.delete(f"{job_id}/{name}/")
    rest = [blob.key for blob in store.list(f"{job_id}/") if blob.key != kept]
    store.remove(rest)
    return count + len(rest)


def deletion(folder: JobFolder) -> Entry | None:
    """Return the entry that records the job's deletion; None if the job was not deleted. Raise StoreError."""
    chain = custody_log.check_chain(folder)
    return chain.entries[-1] if chain.is_deleted else None


def _enter(folder: JobFolder, who: str | None, details: Mapping[str, Any]) -> Entry:
    blobs = list(folder.store.list(f"{folder.job_id}/"))
    if not blobs:
        raise JobNotFound(f"No job {folder.job_id} is in the staging store {folder.store.url}. [job={folder.job_id}]")
    removed: dict[str, Any] = {"files_removed": len(blobs), "bytes_removed": sum(blob.size for blob in blobs)}
    removed |= {"log_damage": damage} if (damage := damage_of(folder)) else {}
    try:
        return custody_log.append(folder, DELETED, {**_described(folder), **details, **removed}, who)
    except JobNotFound:  # another process is deleting the job too
        found = deletion(folder)
        if found is None:
            raise
        return found


def _described(folder: JobFolder) -> dict[str, Any]:
    """Return what the job was and its last status, as far as they can be read."""
    known: dict[str, Any] = {}
    try:
        record = folder.record()
        known |= {"kind": record.kind, "name": record.name, "source": record.source.get("location", "")}
        known |= {"created_at": record.created_at, "created_by": record.created_by}
        known["attempts"] = len(folder.attempts())
        result = folder.result()
    except (EvidenceError, JobNotFound):
        return known
    if result is not None:
        known |= {"status": result.status, "counts": asdict(result.counts), "ended": result.ended}
    return known
