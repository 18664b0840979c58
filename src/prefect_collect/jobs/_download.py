"""Preview a collection's items and download an export's package, from the staging store; Prefect helps to find it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

from prefect.settings import get_current_settings

from prefect_collect.errors import ActionNotAllowed, CorruptPart, JobNotFound, PrefectError
from prefect_collect.escaping import one_line
from prefect_collect.flows.places import local_source
from prefect_collect.formats import FORMATS, Format
from prefect_collect.job_folder import custody_events, custody_log, store_keys
from prefect_collect.job_folder.checked_evidence import Vouched, vouched
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import StoreLike, get, opened
from prefect_collect.packages import fetch_package, package_key, require_fingerprint
from prefect_collect.sources.overlaps import require_destination
from prefect_collect.statuses import NextStep, require_step
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import require_unsigned

_LOG: Final = logging.getLogger(__name__)


def _folder(job_id: str | UUID, store: StoreLike, step: NextStep) -> JobFolder:
    """Return the job's folder: in the named store, in the default one, else in the one of the run's parameters.

    Raise ActionNotAllowed if Prefect answers and the job's status there does not offer the step: the staging store does
    not show that a job is a draft, or that it is queued again.
    """
    job = _live(job_id, store)
    if job is not None and job.status is not None:
        require_step(job.kind, job.status, step)
    folder = JobFolder(opened(store), str(job_id))
    if store is None and not folder.exists():
        return (job or get(job_id)).folder
    return folder


def _live(job_id: str | UUID, store: StoreLike) -> Job | None:
    """Return the job as Prefect shows it; None if no server is configured or answers, or it has no such job."""
    if get_current_settings().api.url is None:
        return None
    try:
        return get(job_id, store)
    except (JobNotFound, PrefectError):
        return None


def _log(warning: str) -> None:
    _LOG.warning("%s", one_line(warning))


def _result(folder: JobFolder, step: NextStep, warn: Callable[[str], object]) -> tuple[TaskResult, Vouched]:
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
    job_id: str | UUID, limit: int = 20, store: StoreLike = None, *, warn: Callable[[str], object] = _log
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
    result, evidence = _result(_folder(job_id, store, NextStep.PREVIEW), NextStep.PREVIEW, warn)
    for batch in evidence.batches(store_keys.manifest_key(result.job_id, result.attempt), columns):
        rows += batch.slice(0, limit - len(rows)).to_pylist()
        if len(rows) >= limit:
            break
    return [{**row, "sha256": row["sha256"].hex()} for row in rows]


@dataclass(frozen=True)
class DeliveredPackage:
    """The package that an export has delivered, as its result and its custody log state it.

    Attributes:
        store: The destination.
        key: The package's key there: of a ZIP file, or of a folder.
        base: The top folder of all that the package holds.
        format: Its format.
        is_folder: True if it is a folder.
        location: Where it is, as a user writes it.
        fingerprint: The SHA-256 (hex) of its seal, such as a bag's tag manifest, which covers every file of it; "" if
            it is not known.
        folder: The export's folder in its staging store.
        record: What was asked for.
    """

    store: Store
    key: str
    base: str
    format: str
    is_folder: bool
    location: str
    fingerprint: str
    folder: JobFolder = field(repr=False, compare=False)
    record: JobRecord = field(repr=False, compare=False)

    def require_unchanged(self) -> None:
        """Read as much of the package as its fingerprint needs.

        Raises:
            PackageError: It is gone, or it is another package.
            StoreError: It cannot be read.
        """
        require_fingerprint(self.store, self.key, self.base, self.fingerprint, self.format)

    def record_download(self, to: str, *, required: bool = False) -> None:
        """Record in the export's custody log that the package goes `to` a place.

        An error of the store is logged; it is raised if the entry is `required`, as before the package is handed out.
        """
        details = {"package": self.location, "to": to}
        if required:
            custody_log.append(self.folder, custody_events.DOWNLOADED, details)
        else:
            custody_events.record_event(self.folder, custody_events.DOWNLOADED, details)


@mapped
def delivered_package(
    job_id: str | UUID, store: StoreLike = None, *, warn: Callable[[str], object] = _log
) -> DeliveredPackage:
    """Return the package that an export has delivered; it is not read yet.

    Args:
        job_id: The job's id.
        store: The job's staging store; by default the one in the job's parameters, or the default store.
        warn: Called with a sentence if the custody log vouched for the result only later; by default it is logged.

    Raises:
        ActionNotAllowed: The job's status does not offer Download.
        JobNotFound: There is no such job, or the export made no package.
        StoreError: The staging store cannot be read.
        EvidenceError: The custody log is damaged, or the files do not match it.
    """
    folder = _folder(job_id, store, NextStep.DOWNLOAD)
    result, evidence = _result(folder, NextStep.DOWNLOAD, warn)
    if result.package is None:
        raise JobNotFound(f"The export made no package. [job={job_id}]")
    record = evidence.record()
    block = record.options.get("destination_block")
    destination = opened({"$ref": {"block_document_id": block}} if block else record.options.get("destination"))
    format = str(record.options.get("format"))
    key = package_key(record.package_base, format)
    if result.package != destination.locate(key):
        raise CorruptPart(
            f"The export's result names a package in another place than the job's destination, "
            f"{destination.locate(key)}; restore the job's files from a backup. [{result.package}]"
        )
    is_folder = format in FORMATS and FORMATS[cast("Format", format)].is_folder
    return DeliveredPackage(
        destination,
        key,
        record.package_base,
        format,
        is_folder,
        result.package,
        result.fingerprint or "",
        folder,
        record,
    )


@mapped
def download(
    job_id: str | UUID,
    to: str | os.PathLike[str],
    store: StoreLike = None,
    *,
    warn: Callable[[str], object] = _log,
) -> Path:
    """Copy an export's package into the folder `to`, and return the path of the copy.

    Args:
        job_id: The job's id.
        to: The local folder.
        store: The job's staging store; by default the one in the job's parameters, or the default store.
        warn: Called with a sentence if the custody log vouched for the result only later; by default it is logged.

    Raises:
        ActionNotAllowed: The job's status does not offer Download.
        PackageExists: The folder already holds a package of that name.
        JobNotFound: There is no such job, or the export made no package.
        StoreError: The package cannot be read, or the copy cannot be written.
        EvidenceError: The custody log is damaged, or the files do not match it.
    """
    package = delivered_package(job_id, store, warn=warn)
    require_unsigned(os.fspath(to), "to")
    require_destination(local_source(package.record), package.folder.store, DirectoryStore(to))
    fetched = fetch_package(
        package.store, package.key, Path(to), package.base, package.fingerprint or None, package.format
    )
    package.record_download(str(fetched.absolute()))
    return fetched
