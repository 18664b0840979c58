"""A delivered package as a file that a browser can save: its name, size, entity tag, and any range of its bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final

from prefect_collect.console.recent import Recent
from prefect_collect.errors import KeyMissing, PackageError, StoreError
from prefect_collect.jobs import DeliveredPackage
from prefect_collect.stores import Store

LINK_SECONDS: Final = 3600
"""Seconds for which a link to a package in a bucket is valid, from the click."""

PAUSE_SECONDS: Final = 3600.0
"""Seconds without a request after which a further part of a package counts as another download."""

_STEP: Final = 1 << 20
_MOST_KEPT: Final = 16


@dataclass(frozen=True)
class PackageFile:
    """A package as one file.

    Attributes:
        name: The file's name.
        size: Its bytes.
        etag: Its strong entity tag, with quotes.
        chunks: Yields the bytes from a start to an end (exclusive).
    """

    name: str
    size: int
    etag: str
    chunks: Callable[[int, int], Iterator[bytes]]


class PackageFiles:
    """The packages that were asked for lately; used from several threads.

    A package is checked against its fingerprint when it is first asked for, and again when its file has changed.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._checked: Recent[tuple[str, str], PackageFile] = Recent(_MOST_KEPT)
        self._downloads: dict[tuple[str, str, str], float] = {}

    def file(self, package: DeliveredPackage) -> PackageFile:
        """Return the package as a file.

        Raises:
            PackageError: It is gone, or it is another package.
            StoreError: It cannot be read.
        """
        found = _folder_file(package) if package.is_folder else _one_file(package)
        key = (package.location, package.fingerprint)
        with self._lock:
            known = self._checked.get(key)
        if known is not None and (known.etag, known.size) == (found.etag, found.size):
            return known
        package.require_unchanged()
        with self._lock:
            self._checked.put(key, found)
        return found

    def begins(self, user: str, package: DeliveredPackage, etag: str, *, is_part: bool) -> bool:
        """Return whether a request begins a download, which then goes into the custody log once.

        A request for a part belongs to the download of the same file by the same user whose last request is less than
        `PAUSE_SECONDS` ago; one for the whole file is a download of its own.
        """
        key, now = (user, package.folder.job_id, etag), self._clock()
        with self._lock:
            for old in [one for one, at in self._downloads.items() if now - at > PAUSE_SECONDS]:
                del self._downloads[old]
            goes_on = is_part and key in self._downloads
            self._downloads[key] = now
        return not goes_on


def presigned_link(package: DeliveredPackage) -> str | None:
    """Return a link with which a browser reads the package from its bucket itself; None if the store gives none.

    A directory gives none, nor does a bucket whose requests its reader pays for, as a browser would not agree to that.
    """
    if package.is_folder or getattr(package.store, "request_payer", False):
        return None
    try:
        link = package.store.link(package.key, LINK_SECONDS)
    except StoreError:  # no credentials to sign with, as for a public bucket
        return None
    return link if link.startswith(("https://", "http://")) else None


def _one_file(package: DeliveredPackage) -> PackageFile:
    store, key = package.store, package.key
    try:
        blob = store.stat(key)
    except KeyMissing as error:
        raise PackageError(f"The package is no longer where the export wrote it. [{package.location}]") from error
    mark = blob.etag or _identity(store, key)
    etag = _tag(package.fingerprint, str(blob.size), mark)
    return PackageFile(key.rpartition("/")[2], blob.size, etag, lambda start, end: _read(store, key, start, end))


def _folder_file(package: DeliveredPackage) -> PackageFile:
    folder = package.folder_zip()
    name = f"{package.key.rpartition('/')[2]}.zip"
    return PackageFile(name, folder.size, _tag(package.fingerprint, folder.etag), folder.chunks)


def _identity(store: Store, key: str) -> str:
    """Return what distinguishes a file on disk from another one that replaces it."""
    with store.open(key) as file:
        try:
            status = os.fstat(file.fileno())
        except (OSError, ValueError):
            return ""
    return f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}"


def _tag(*parts: str) -> str:
    return f'"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"'


def _read(store: Store, key: str, start: int, end: int) -> Iterator[bytes]:
    with store.open(key) as file:
        file.seek(start)
        while start < end:
            piece = file.read(min(_STEP, end - start))
            if not piece:
                raise PackageError(f"The package ends before byte {end}. [{store.locate(key)}]")
            start += len(piece)
            yield piece
