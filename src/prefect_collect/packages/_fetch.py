"""Copies a package from where an export delivered it into a local folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import cast

from prefect_collect.errors import KeyMissing, PackageError, PackageExists, StoreNameTooLong
from prefect_collect.formats import FORMATS, Format
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.packages._folder_zip import FolderZip
from prefect_collect.packages._registry import PACKAGE_FORMATS
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST
from prefect_collect.packages.building.payload import LONGEST_PATH
from prefect_collect.packages.building.replacing import seal_of
from prefect_collect.packages.ocfl.earlier import ObjectAt, object_at
from prefect_collect.packages.ocfl.names import object_name
from prefect_collect.stores import Blob, CopyRange, DirectoryStore, Store
from prefect_collect.stores.os_errors import os_errors


def package_key(base: str, format: str) -> str:
    """Return the key, at its destination, of the package that an export with this base folder makes."""
    known = FORMATS.get(cast("Format", format))
    return base if known is None else f"{base}{known.suffix}"


def package_base(record: JobRecord, format: str) -> str:
    """Return the base folder of the package that an export makes; `record` is the collection's or the export's."""
    known = FORMATS.get(cast("Format", format))
    return object_name(record.source) if known is not None and known.grows else record.package_base


def fetch_package(
    source: Store, key: str, folder: Path, base: str = "", fingerprint: str | None = None, format: str = "bagit"
) -> Path:
    """Copy the package (one file, or a folder) at `key` into `folder`, and return its path there.

    It appears under its name only when it is complete and has the `fingerprint`, if one is given (`base` is then the
    package's base folder, `format` its format). Raise PackageExists, PackageError if the package is gone or has
    another fingerprint, StoreError. An OCFL object that has later versions is copied as it was with that fingerprint.
    """
    target = folder / key
    with os_errors(str(target)):
        if target.exists():
            raise PackageExists(f"Something already has the package's name there; name another folder. [{target}]")
    at = _object_at(source, key, fingerprint, format)
    files = [(blob.key, blob) for blob in _blobs(source, key)] if at is None else [*at.files()]
    for name, _ in files:
        _require_path(folder / name)
    with os_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        home = DirectoryStore(partial)
        for name, blob in files:
            home.compose(name, [CopyRange(blob.key, 0, blob.size, blob.etag)], source)
        if fingerprint is not None and _fingerprint(home, key, base, format) != fingerprint:
            raise _another(source, key, format)
        with os_errors(str(target)):
            os.rename(partial / key, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def require_fingerprint(source: Store, key: str, base: str, fingerprint: str | None, format: str = "bagit") -> None:
    """Read as much of the package at `key` as its fingerprint needs: the list of a ZIP file, or one file of a folder.

    If the fingerprint is None, only see that there is a package.

    Raises:
        PackageError: It is gone, or it is another package.
        StoreError: The store cannot be read.
    """
    _blobs(source, key, one=True)
    if _object_at(source, key, fingerprint, format) is not None:
        return
    if fingerprint is not None and _fingerprint(source, key, base, format) != fingerprint:
        raise _another(source, key, format)


def folder_zip(source: Store, key: str, fingerprint: str | None, format: str) -> FolderZip:
    """Return the ZIP file of the package's folder at `key`; of an OCFL object, as it was with the fingerprint.

    Raise PackageError if the folder is gone, StoreError.
    """
    at = _object_at(source, key, fingerprint, format)
    return FolderZip(source, key, None if at is None else at.files)


def version_remark(source: Store, key: str, fingerprint: str | None, format: str) -> str:
    """Return a sentence if the package is an OCFL object that has later versions than the export's; else "".

    Raise StoreError.
    """
    at = _object_at(source, key, fingerprint, format)
    return "" if at is None else at.remark


def _object_at(source: Store, key: str, fingerprint: str | None, format: str) -> ObjectAt | None:
    """Return an OCFL object as it was with the fingerprint; None of other packages, and if it never had it."""
    known = FORMATS.get(cast("Format", format))
    if known is None or not known.grows or fingerprint is None:
        return None
    return object_at(source, key, fingerprint)


def _another(source: Store, key: str, format: str) -> PackageError:
    known = FORMATS.get(cast("Format", format))
    if known is not None and known.grows:
        return PackageError(
            "The object no longer has the version that the export made: no inventory in it has the export's "
            f"fingerprint. Restore it from a backup. [{source.locate(key)}]"
        )
    return PackageError(
        "The file where the export wrote its package is not that package: its fingerprint differs. "
        f"[{source.locate(key)}]"
    )


def _require_path(path: Path) -> None:
    """Raise StoreNameTooLong if a file could be written there, folder by folder, but not be opened by its path."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise StoreNameTooLong(
            f"A path of the package would be longer than the system allows; name a folder with a shorter path. [{path}]"
        )


def _fingerprint(home: Store, key: str, base: str, format: str) -> str:
    """Return the SHA-256 (hex) of the package's seal; "" if it has none."""
    known = PACKAGE_FORMATS.get(cast("Format", format))
    seal = TAG_MANIFEST if known is None else known.seal
    try:
        return seal_of(home, key, base, seal)
    except (KeyMissing, ValueError):
        return ""


def _blobs(source: Store, key: str, *, one: bool = False) -> list[Blob]:
    """Return the package's files, or only the first. Raise PackageError if there is none, StoreError."""
    try:
        return [source.stat(key)]
    except KeyMissing:
        blobs = list(islice(source.list(f"{key}/"), 1 if one else None))
    if not blobs:
        raise PackageError(f"The package is no longer where the export wrote it. [{source.locate(key)}]")
    return blobs
