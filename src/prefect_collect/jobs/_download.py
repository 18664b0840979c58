"""Download an export's package; the staging store says where it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import UUID

from prefect_collect.errors import CorruptPart, JobNotFound
from prefect_collect.formats import FORMATS, Format
from prefect_collect.job_folder import custody_events, custody_log
from prefect_collect.job_folder.collected_folder import collected_folder
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._preview import folder_offering, log_warning, vouched_result
from prefect_collect.jobs._stores import opened
from prefect_collect.packages import (
    FolderZip,
    encrypt_package,
    fetch_package,
    folder_zip,
    package_base,
    package_key,
    require_fingerprint,
    version_remark,
)
from prefect_collect.sources.overlaps import require_destination
from prefect_collect.statuses import NextStep
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import local_path

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike


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

    def folder_zip(self) -> FolderZip:
        """Return the ZIP file of a package that is a folder; of an OCFL object, as this export left it.

        Raises:
            PackageError: It is gone.
            StoreError: It cannot be read.
        """
        return folder_zip(self.store, self.key, self.fingerprint or None, self.format)

    def version_remark(self) -> str:
        """Return a sentence if it is an OCFL object that has later versions now; else "". Raise StoreError."""
        return version_remark(self.store, self.key, self.fingerprint or None, self.format)

    def record_download(self, to: str, *, required: bool = False, encrypted: bool = False) -> None:
        """Record in the export's custody log that the package goes `to` a place.

        An error of the store is logged; it is raised if the entry is `required`, as before the package is handed out.
        """
        details = {"package": self.location, "to": to, **({"encrypted": True} if encrypted else {})}
        if required:
            custody_log.append(self.folder, custody_events.DOWNLOADED, details)
        else:
            custody_events.record_event(self.folder, custody_events.DOWNLOADED, details)


@mapped
def delivered_package(
    job_id: str | UUID, store: StoreLike = None, *, warn: Callable[[str], object] = log_warning
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
    folder = folder_offering(job_id, store, NextStep.DOWNLOAD)
    result, evidence = vouched_result(folder, NextStep.DOWNLOAD, warn)
    if result.package is None:
        raise JobNotFound(f"The export made no package. [job={job_id}]")
    record = evidence.record()
    block = record.options.get("destination_block")
    destination = opened({"$ref": {"block_document_id": block}} if block else record.options.get("destination"))
    format = str(record.options.get("format"))
    base = package_base(record, format)
    key = package_key(base, format)
    if result.package != destination.locate(key):
        raise CorruptPart(
            f"The export's result names a package in another place than the job's destination, "
            f"{destination.locate(key)}; restore the job's files from a backup. [{result.package}]"
        )
    is_folder = format in FORMATS and FORMATS[cast("Format", format)].is_folder
    return DeliveredPackage(
        destination,
        key,
        base,
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
    passphrase: str | None = None,
    warn: Callable[[str], object] = log_warning,
) -> Path:
    """Copy an export's package into the folder `to`, and return the path of the copy.

    With a passphrase the copy is encrypted, to be handed over: a file NAME.aes.zip with the package in WinZip's
    AES-256, which `verify` checks with the passphrase, and 7-Zip, WinZip and others open.

    Of an OCFL object that has later versions by now, the copy is the object as this export left it.

    Args:
        job_id: The job's id.
        to: The local folder.
        store: The job's staging store; by default the one in the job's parameters, or the default store.
        passphrase: The passphrase, of at least 12 characters; by default the copy is not encrypted.
        warn: Called with a sentence if the custody log vouched for the result only later, or if an OCFL object has
            later versions now; by default it is logged.

    Raises:
        UsageError: `to` is a URL, the passphrase is too short, or the extra ``encryption`` is not installed.
        ActionNotAllowed: The job's status does not offer Download.
        PackageExists: The folder already holds a package of that name.
        JobNotFound: There is no such job, or the export made no package.
        StoreError: The package cannot be read, or the copy cannot be written.
        EvidenceError: The custody log is damaged, or the files do not match it.
    """
    folder = local_path(to, "to")
    package = delivered_package(job_id, store, warn=warn)
    require_destination(collected_folder(package.record), package.folder.store, DirectoryStore(folder))
    where = package.store, package.key, folder
    if passphrase is None:
        fetched = fetch_package(*where, package.base, package.fingerprint or None, package.format)
    else:
        fetched = encrypt_package(
            *where, passphrase, package.base, package.fingerprint or None, package.format, is_folder=package.is_folder
        )
    if remark := package.version_remark():
        warn(remark)
    package.record_download(str(fetched.absolute()), encrypted=passphrase is not None)
    return fetched
