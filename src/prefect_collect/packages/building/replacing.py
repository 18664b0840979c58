"""Decides what may be replaced under a package's name: only what the same export job built."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.errors import KeyExists, KeyMissing, PackageExists
from prefect_collect.packages.contents.bytes import StoredBytes
from prefect_collect.packages.contents.containers import Container, FolderContainer, StoreContainer
from prefect_collect.packages.contents.index import Entry, FileIndex, temporary_index
from prefect_collect.packages.contents.opening import open_file
from prefect_collect.packages.contents.tar_container import TarContainer
from prefect_collect.packages.problems import Findings
from prefect_collect.stores import Blob, DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence

MARKERS: Final = ".prefect-collect-"
"""How the folders of markers begin, which end with the id of their job."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The export job that builds a package, and the fingerprints of those it has delivered under the same name."""

    job_id: str
    fingerprints: frozenset[str] = frozenset()


def refusal(destination: Store, key: str, what: str = "") -> PackageExists:
    """Return the error for a name that holds something this export did not build; `what` names a file of it."""
    named = f" ({what!r} does not belong to this export)" if what else ""
    return PackageExists(
        f"Something else already has the package's name{named}; name another destination, or move it away. "
        f"[{destination.locate(key)}]"
    )


def _fingerprint_of(container: Container, index: FileIndex, findings: Findings, seal: str) -> str:
    """Return the SHA-256 of the seal; "" if there is none, or anything shows that others wrote there too."""
    if findings.problems.kept or findings.tolerated.kept or findings.form.kept:
        return ""
    entry, digest = index.find(seal), hashlib.sha256()
    if entry is None:
        return ""
    reader = container.reader([entry], index.offset_after(entry))
    try:
        for chunk in reader.chunks(entry):
            digest.update(chunk)
    except Damaged:
        return ""
    return "" if reader.form.kept else digest.hexdigest()


def file_left(destination: Store, key: str, base: str, seal: str) -> tuple[Blob, str] | None:
    """Return the file under that key and its fingerprint, the hash of the file `seal` in the folder `base`.

    The fingerprint is "" if it is not a package made here.
    None if it is missing.
    """
    try:
        blob = destination.stat(key)
    except KeyMissing:
        return None
    findings = Findings()
    container: Container | None = None
    try:
        container = open_file(StoredBytes(destination, blob))
        with temporary_index() as index:
            container.scan(index, findings)
            index.finish()
            return blob, _fingerprint_of(container, index, findings, f"{base}/{seal}")
    except Damaged:
        return blob, ""
    finally:
        if container is not None:
            container.close()


def seal_of(home: Store, key: str, base: str, seal: str) -> str:
    """Return the fingerprint of the package at `key`, reading no more of it than that needs.

    It is "" if there is no package made here. Raise KeyMissing, StoreError.
    """
    if key == base:
        with home.open(f"{key}/{seal}") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    try:
        container = open_file(StoredBytes(home, home.stat(key)))
        if isinstance(container, TarContainer):
            first = container.first()
            return "" if first is None or first.name != f"{base}/{seal}" else _hash(container, first)
    except Damaged:
        return ""
    left = file_left(home, key, base, seal)
    return "" if left is None else left[1]


def _hash(container: Container, entry: Entry) -> str:
    digest = hashlib.sha256()
    for chunk in container.reader([entry], None).chunks(entry):
        digest.update(chunk)
    return digest.hexdigest()


class FolderLeft:
    """The contents of the folder `key`: its files and their sizes. Raise PackageExists if it holds other things."""

    def __init__(self, destination: Store, key: str, seal: str) -> None:
        local = isinstance(destination, DirectoryStore)
        container = FolderContainer(destination.locate(key)) if local else StoreContainer(destination, f"{key}/")
        findings = Findings()
        with temporary_index() as index:
            container.scan(index, findings)
            if findings.problems.kept:
                raise refusal(destination, key, findings.problems.kept[0].path)
            index.finish()
            self.sizes = {name: size for name, size in index.sizes() if not name.endswith("/")}
            self.fingerprint = _fingerprint_of(container, index, findings, seal)

    def others(self, expected: Iterator[set[str]]) -> str | None:
        """Return a file that is not among those expected, if there is one."""
        left = set(self.sizes)
        for names in expected:
            left -= names
        return min(left, default=None)


class Marker:
    """A small file that names the job while its folder is being written: made first and removed last.

    By it, the next attempt of an interrupted job recognises the half-written folder as its own. It is in its own
    folder, because a store deletes whole folders only.
    """

    def __init__(self, destination: Store, key: str, job_id: str) -> None:
        self._destination, self._key = destination, key
        self._folder = f"{MARKERS}{job_id}/"
        self._text = (
            f"The export job {job_id} is writing this folder, or was interrupted and completes it when it is retried. "
            "The package is whole when this file is gone.\n"
        )

    @property
    def name(self) -> str:
        """The path in the package's folder."""
        return f"{self._folder}unfinished.txt"

    def set(self, *, alone: bool) -> None:
        """Create the marker. Raise PackageExists if it must be `alone` in the folder but another writer was faster."""
        mine = f"{self._key}/{self.name}"
        try:
            with current_fence().passing():
                self._destination.create(mine, self._text.encode())
        except KeyExists as error:
            raise refusal(self._destination, self._key, self.name) from error
        if alone and any(blob.key != mine for blob in islice(self._destination.list(f"{self._key}/"), 2)):
            self.remove()
            raise refusal(self._destination, self._key)

    def remove(self) -> None:
        """Remove the marker: the folder is complete."""
        with current_fence().passing():
            self._destination.delete(f"{self._key}/{self._folder}")
