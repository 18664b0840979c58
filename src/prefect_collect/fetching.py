"""Bringing a package home from where an export delivered it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from prefect_collect.errors import KeyMissing, PackageError, PackageExists, StoreAccessDenied
from prefect_collect.stores import Blob, CopyRange, DirectoryStore, Store


def fetch_package(source: Store, key: str, folder: Path) -> Path:
    """Copy the package (a ZIP file or a bag's folder) at `key` into `folder`, and return where it is then.

    It appears under its name only when it is whole. Raises PackageExists, PackageError if it is gone, StoreError.
    """
    target = folder / key
    if target.exists():
        raise PackageExists(f"There is something under the package's name; name another folder. [{target}]")
    blobs = _blobs(source, key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    except OSError as error:
        raise StoreAccessDenied(f"The folder cannot be written to: {error.strerror}. [{folder}]") from error
    try:
        home = DirectoryStore(partial)
        for blob in blobs:
            home.compose(blob.key, [CopyRange(blob.key, 0, blob.size, blob.etag)], source)
        os.rename(partial / key, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _blobs(source: Store, key: str) -> list[Blob]:
    try:
        return [source.stat(key)]
    except KeyMissing:
        blobs = list(source.list(f"{key}/"))
    if not blobs:
        raise PackageError(f"The package is no longer where the export put it. [{source.locate(key)}]")
    return blobs
