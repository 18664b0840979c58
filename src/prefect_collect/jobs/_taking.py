"""Looking at what a job holds, and taking a package home. Needs the staging store only, not Prefect's server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.fetching import fetch_package
from prefect_collect.jobfolder import JobFolder
from prefect_collect.jobs._reading import StoreLike, opened
from prefect_collect.results import TaskResult
from prefect_collect.statuses import NextStep, require_step


def _result(job_id: str | UUID, step: NextStep, store: StoreLike) -> TaskResult:
    folder = JobFolder(opened(store), str(job_id))
    result = folder.result()
    if result is None:
        record = folder.record()
        raise ActionNotAllowed(
            f"The {record.kind} has no result yet, so there is nothing to {step.value.lower()}. [job={job_id}]"
        )
    require_step(result.kind, result.status, step)
    return result


def preview(job_id: str | UUID, limit: int = 20, store: StoreLike = None) -> list[dict[str, Any]]:
    """The first items that a collection holds: path, size, modification time, SHA-256 (hex), where they are staged.

    Raises ActionNotAllowed if the job's status does not offer Preview, JobNotFound.
    """
    rows: list[dict[str, Any]] = []
    columns = ["path", "original_path", "size", "source_modified", "sha256", "segment", "offset"]
    for batch in _result(job_id, NextStep.PREVIEW, store).successful.batches():
        rows += batch.select(columns).slice(0, limit - len(rows)).to_pylist()
        if len(rows) >= limit:
            break
    return [{**row, "sha256": row["sha256"].hex()} for row in rows]


def download(job_id: str | UUID, to: str | os.PathLike[str], store: StoreLike = None) -> Path:
    """Copy an export's package into the folder `to`, and return where it is.

    Raises ActionNotAllowed if the job's status does not offer Download, PackageExists, StoreError, JobNotFound.
    """
    result = _result(job_id, NextStep.DOWNLOAD, store)
    if result.package is None:
        raise JobNotFound(f"The export made no package. [job={job_id}]")
    options = JobFolder(opened(store), str(job_id)).record().options
    block = options.get("destination_block")
    destination = opened({"$ref": {"block_document_id": block}} if block else options["destination"])
    return fetch_package(destination, result.package.rpartition("/")[2], Path(to))
