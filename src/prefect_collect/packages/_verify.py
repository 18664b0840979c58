"""Verifies a package offline, without Prefect, in a file, a folder or a store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from prefect_collect.archive.problems import Damaged, NotAnArchive, Problem
from prefect_collect.archive.random_access import Bytes
from prefect_collect.errors import CollectError, KeyMissing, PackageError, StoreError
from prefect_collect.formats.bag_profile import BagProfile, read_profile
from prefect_collect.packages._format import ClosedCheck, ProfiledCheck
from prefect_collect.packages._registry import PACKAGE_FORMATS
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import default_threads
from prefect_collect.packages.contents.bytes import LocalBytes, StoredBytes
from prefect_collect.packages.contents.containers import Container, FolderContainer, StoreContainer
from prefect_collect.packages.contents.encrypted import EncryptedBytes, is_encrypted
from prefect_collect.packages.contents.index import FileIndex, temporary_index
from prefect_collect.packages.contents.opening import open_file
from prefect_collect.packages.marks import ENDINGS
from prefect_collect.packages.problems import Findings, Verification
from prefect_collect.packages.recognising import is_foreign, is_storage_root, recognised_format
from prefect_collect.stores import DirectoryStore, Store, open_store
from prefect_collect.stores.addresses import require_unsigned
from prefect_collect.stores.nearest_path import nearest_path

_REMOTE_THREADS: Final = 16


def verify(
    location: str | os.PathLike[str],
    *,
    store: Store | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    passphrase: str | None = None,
    profile: str | None = None,
) -> Verification:
    """Check a package: a ZIP or TAR file or the folder of a bag, by its path or URL, or by its key in `store`.

    Any bag is checked by RFC 8493: that it is complete and holds nothing else, every hash, Payload-Oxum, names. Of
    a package made here every byte is accounted for, and its item list is compared with the payload. `progress` is
    called with the files and bytes done since the last call, which may be none. An encrypted copy is checked by its
    `passphrase`. With a BagIt `profile` (its JSON), a bag must conform to it too. Raise PackageError if nothing is
    there, it is no package at all, as a PDF file, an archive with no file of a package or a whole OCFL storage root, it
    cannot be read, or it is encrypted and the passphrase is missing or wrong, InvalidLocation, and UsageError if the
    profile is not a BagIt profile.
    """
    rules = None if profile is None else read_profile(profile)
    text = os.fspath(location)
    remote = store is not None or "://" in text
    findings = Findings()
    try:
        container = _stored(text, store, passphrase) if remote else _local(text, passphrase)
    except Damaged as error:
        return Verification(text, [Problem("package", str(error))], 0, 0, "", 0, "")
    try:
        with temporary_index() as index:
            return _verified(text, container, index, findings, threads or _default(remote), progress, rules)
    except Damaged as error:
        # A file with the name of a package is one, however damaged it is.
        if isinstance(error, NotAnArchive) and not text.lower().endswith(ENDINGS):
            raise PackageError(
                f"The file is no package: {error}. Name the package: a ZIP or TAR file, or a folder. [{text}]"
            ) from error
        return Verification(text, [Problem("package", str(error))], 0, 0, "", 0, "")
    finally:
        container.close()


def is_encrypted_package(location: str | os.PathLike[str]) -> bool:
    """Return whether a path or URL names an encrypted copy of a package; False if it cannot be read."""
    text = os.fspath(location)
    try:
        if "://" not in text:
            return os.path.isfile(text) and _looked(LocalBytes(text, follow=True))
        parent, _, key = text.rstrip("/").rpartition("/")
        store = open_store(parent)
        return _looked(StoredBytes(store, store.stat(key)))
    except (CollectError, Damaged):
        return False


def _looked(source: Bytes) -> bool:
    try:
        return is_encrypted(source)
    finally:
        source.close()


def _verified(
    location: str,
    container: Container,
    index: FileIndex,
    findings: Findings,
    threads: int,
    progress: Callable[[int, int], None] | None,
    profile: BagProfile | None,
) -> Verification:
    try:
        whole = container.scan(index, findings)
    except StoreError as error:
        raise PackageError(f"The package cannot be listed: {error}") from error
    if isinstance(container, FolderContainer) and container.failed:
        raise PackageError(f"The package cannot be read: the folder cannot be read ({container.failed}). [{location}]")
    if not whole:
        return Verification(location, findings.problems.finish(), 0, 0, "", 0, "")
    index.finish()
    files = BagFiles(container, index, findings)
    format = recognised_format(index)
    if container.kind and format == "bagit" and not findings.problems.kept and is_foreign(index):
        raise PackageError(
            "The archive is no package: none of its files is one that packages have, as bagit.txt, a manifest or a "
            f"description. Name the package. [{location}]"
        )
    if is_storage_root(index):
        raise PackageError(
            f"It is an OCFL storage root, which has an object for each source; verify each folder in it. [{location}]"
        )
    check = PACKAGE_FORMATS[format].check(files, threads, progress)
    if isinstance(check, ProfiledCheck):
        check.profile = profile
    elif profile is not None:
        findings.problems.add("package", "it is no bag, so it cannot conform to a BagIt profile")
    try:
        check.run()
        if check.ours:
            from prefect_collect.packages._custody_check import check_documents

            check_documents(files, check)
    finally:
        if isinstance(check, ClosedCheck):
            check.close()
    problems, warnings = findings.judged(ours=check.ours)
    return Verification(
        location,
        problems,
        check.items,
        check.payload,
        check.fingerprint(),
        check.not_delivered,
        check.tool,
        warnings,
    )


def _default(remote: bool) -> int:
    return _REMOTE_THREADS if remote else default_threads()


def _local(path: str, passphrase: str | None) -> Container:
    if os.path.isdir(path):
        return FolderContainer(path)
    if not os.path.lexists(path):
        near = nearest_path(path)
        raise PackageError(f"There is no package; check the path. {near}{' ' if near else ''}[{path}]")
    if not os.path.isfile(path):
        raise PackageError(f"A package is a ZIP file, a TAR file or a folder, and this is none of them. [{path}]")
    try:
        source = LocalBytes(path, follow=True)
    except Damaged as error:
        raise PackageError(f"The package exists, but {error}. [{path}]") from error
    return _opened(source, passphrase, path)


def _opened(source: Bytes, passphrase: str | None, location: str) -> Container:
    """Return the files of a file, or of the one in an encrypted copy, whose bytes are authentic.

    Raise PackageError; Damaged if an encrypted copy was changed.
    """
    if is_encrypted(source):
        if passphrase is None:
            raise PackageError(f"The package is encrypted; give its passphrase. [{location}]")
        source = EncryptedBytes(source, passphrase)
        source.require_authentic()
    try:
        return open_file(source)
    except Damaged as error:
        raise PackageError(f"The package exists, but {error}. [{location}]") from error


def _stored(location: str, store: Store | None, passphrase: str | None) -> Container:
    key = location
    if store is None:
        require_unsigned(location, "location")
        parent, _, key = location.rstrip("/").rpartition("/")
        store = open_store(parent)
    if isinstance(store, DirectoryStore):
        return _local(store.locate(key), passphrase)
    try:
        return _opened(StoredBytes(store, store.stat(key)), passphrase, location)
    except KeyMissing:
        pass
    except StoreError as error:
        raise PackageError(f"The package cannot be read: {error}") from error
    folder = StoreContainer(store, f"{key}/")
    try:
        is_there = folder.is_there()
    except StoreError as error:
        raise PackageError(f"The package cannot be listed: {error}") from error
    if not is_there:
        raise PackageError(f"There is no package; check the location. [{store.locate(key)}]")
    return folder
