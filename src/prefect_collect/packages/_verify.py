"""Verifying a package: offline, without Prefect, wherever it lies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final

from prefect_collect._addresses import require_unsigned
from prefect_collect.errors import KeyMissing, PackageError, StoreError
from prefect_collect.packages._bag_check import BagCheck, default_threads
from prefect_collect.packages._bytes import LocalBytes, StoredBytes
from prefect_collect.packages._containers import Container, FolderContainer, StoreContainer, ZipContainer
from prefect_collect.packages._verification import Damaged, Problem, Verification
from prefect_collect.stores import DirectoryStore, Store, open_store

_REMOTE_THREADS: Final = 16


def verify(
    location: str | os.PathLike[str],
    *,
    store: Store | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check a package: a ZIP file or the folder of a bag, by its path or URL, or by its key in `store`.

    Any bag is checked as RFC 8493 wants it: that it is complete and holds nothing else, every hash, Payload-Oxum,
    names. Of a package made here every byte is accounted for, and its item list is compared with the payload.
    `progress` is called with the files and bytes done since the last call. Raises PackageError if there is nothing,
    or it cannot be read at all, and InvalidLocation.
    """
    text = os.fspath(location)
    remote = store is not None or "://" in text
    default = _REMOTE_THREADS if remote else default_threads()
    try:
        container = _stored(text, store) if remote else _local(text)
    except Damaged as error:
        return Verification(text, [Problem("package", str(error))], 0, 0, "", 0, "")
    try:
        check = BagCheck(container, threads or default, progress)
        check.problems = container.problems
        if isinstance(container, ZipContainer) and not container.whole:
            return Verification(text, container.problems.finish(), 0, 0, "", 0, "")
        check.run()
        tags = check.tag_manifest()
    finally:
        container.close()
    found = check.problems.finish()
    fingerprint = "" if tags is None else hashlib.sha256(tags).hexdigest()
    return Verification(text, found, check.items, check.payload, fingerprint, check.not_delivered, check.tool)


def _local(path: str) -> Container:
    if os.path.isdir(path):
        folder = FolderContainer(path)
        if not folder.names and folder.problems.kept:
            raise PackageError(f"The package cannot be read: {folder.problems.kept[0].what}. [{path}]")
        return folder
    if not os.path.lexists(path):
        raise PackageError(f"There is no package; check the path. [{path}]")
    if not os.path.isfile(path):
        raise PackageError(f"A package is a ZIP file or a folder, and this is neither. [{path}]")
    try:
        source = LocalBytes(path, follow=True)
    except Damaged as error:
        raise PackageError(f"The package is there, but {error}. [{path}]") from error
    return _zip(source)


def _zip(source: LocalBytes | StoredBytes) -> ZipContainer:
    try:
        return ZipContainer(source)
    except BaseException:
        source.close()
        raise


def _stored(location: str, store: Store | None) -> Container:
    key = location
    if store is None:
        require_unsigned(location, "location")
        parent, _, key = location.rstrip("/").rpartition("/")
        store = open_store(parent)
    if isinstance(store, DirectoryStore):
        return _local(store.locate(key))
    try:
        return _zip(StoredBytes(store, store.stat(key)))
    except KeyMissing:
        pass
    except StoreError as error:
        raise PackageError(f"The package cannot be read: {error}") from error
    try:
        folder = StoreContainer(store, f"{key}/")
    except StoreError as error:
        raise PackageError(f"The package cannot be listed: {error}") from error
    if not folder.names:
        raise PackageError(f"There is no package; check the location. [{store.locate(key)}]")
    return folder
