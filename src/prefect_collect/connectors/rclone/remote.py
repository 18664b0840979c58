"""One remote of rclone's configuration: what it is, what is in its folders, and the URLs of its files."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.client import Target
from prefect_collect.connectors.rclone.entries import HASHES, Entry, entries_of, entry_of
from prefect_collect.connectors.rclone.failures import rclone_error
from prefect_collect.connectors.rclone.not_compared import NotCompared, is_office_file, is_sharepoint
from prefect_collect.connectors.rclone.process import Rclone, Shared
from prefect_collect.stores.addresses import SOURCE_URLS

_MOST_BYTES: Final = 512 << 20
"""The most bytes of a folder's list: two million files of ordinary names."""

_LIST_SECONDS: Final = 600.0
"""Seconds within which rclone must list a folder; services with slow pages take minutes for a large one."""

_SAY_CREATION: Final = ("onedrive", "local")
"""The services whose lists have the times of creation, so that rclone asks for nothing more to state them.

Of others it asks once for each file (S3, Google Drive), or does not know them. ``local`` is a folder behind an alias.
"""

_ANOTHER: Final = {
    "local": "the folder itself (a path, FileSource)",
    "s3": f"{SOURCE_URLS['s3']} (ObjectStoreSource)",
    "google cloud storage": f"{SOURCE_URLS['gs']} (ObjectStoreSource)",
    "azureblob": f"{SOURCE_URLS['az']} (ObjectStoreSource)",
    "sftp": f"{SOURCE_URLS['sftp']} (SftpSource)",
    "webdav": f"{SOURCE_URLS['webdavs']} (WebDavSource)",
}
"""The sources that read a service better than rclone does: with more proof, and faster."""


class Remote:
    """A remote, which several threads may use. Every error is a SourceError."""

    def __init__(self, shared: Shared, name: str, root: str, place: str, connect_timeout: float) -> None:
        self._shared, self.name, self.root, self.place = shared, name, root, place
        self._connect = connect_timeout
        self._lock = threading.Lock()
        self._features: dict[str, Any] | None = None

    def features(self) -> dict[str, Any]:
        """Return what rclone says of the remote (``operations/fsinfo``), once it is known that rclone is to read it.

        Raise SourceError for a service that another source reads.
        """
        with self._lock:
            if self._features is None:
                settings = self._call("config/get", name=self.name)
                kind = str(settings.get("type") or "")
                if kind in _ANOTHER:
                    raise source_error(
                        "source_error", f"Collect it by {_ANOTHER[kind]}, which proves more than rclone", self.place
                    )
                if not kind:
                    there = self._call("config/listremotes").get("remotes") or ()
                    named = ", ".join(map(str, there)) or "none"
                    what = f"rclone's configuration has no remote {self.name}; those that it has: {named}"
                    raise source_error("bad_credentials", what, self.place)
                found = self._call("operations/fsinfo", fs=f"{self.name}:")
                if kind == "alias":  # fsinfo is of the remote that it stands for
                    name = str(found.get("Name") or "").partition("{")[0]  # {…} stands for options in the remote's name
                    settings = self._call("config/get", name=name)
                service = str(settings.get("type") or found.get("Name"))
                says_creation = service in _SAY_CREATION and not settings.get("metadata_permissions")
                self._features = found | {
                    "type": kind, "is_sharepoint": is_sharepoint(settings), "says_creation": says_creation,
                }  # fmt: skip
            return self._features

    @property
    def has_times(self) -> bool:
        """Whether the service keeps times of files, to a second at least."""
        precision = self.features().get("Precision")
        return isinstance(precision, int) and 0 < precision <= 1_000_000_000

    @property
    def hashes(self) -> list[str]:
        """The hashes that the service itself keeps of files; none where rclone would have to read each file for it."""
        features = self.features()
        if (features.get("Features") or {}).get("SlowHash"):
            return []
        return [name for name in HASHES if name in (features.get("Hashes") or ())]

    def describe(self) -> str:
        """Return what the service states of its files, in words."""
        return f"{self.features()['type']} states {self.hashes[0] if self.hashes else 'no hash'} of files"

    def is_rewritten(self, name: str) -> bool:
        """Return whether the service sends other bytes of a file of this name than those that it lists."""
        return bool(self.features()["is_sharepoint"]) and is_office_file(name)

    def not_compared(self) -> NotCompared:
        """Return a count, yet without files, of what is not compared."""
        return NotCompared(self.features()["type"], self.hashes, self.has_times)

    def folder(self, path: str) -> list[Entry]:
        """Return what is in a folder; "" is the root, others end in "/"."""
        answer = self._call("operations/list", path, fs=f"{self.name}:", remote=self._below(path), opt=self._options())
        return entries_of(answer, f"{self.place}/{path}")

    def entry(self, path: str) -> Entry | None:
        """Return a file or folder as it is now; None if it is gone."""
        answer = self._call("operations/stat", path, fs=f"{self.name}:", remote=self._below(path), opt=self._options())
        item = answer.get("item")
        return None if item is None else entry_of(item, f"{self.place}/{path}")

    def above(self) -> Remote:
        """Return the folder in which the root lies, for a root that is a file."""
        root, place = (path.rpartition("/")[0] for path in (self.root, self.place))
        return Remote(self._shared, self.name, root, place, self._connect)

    def used(self) -> AbstractContextManager[Rclone]:
        """Return a context in which the process of rclone is not ended. Raise SourceError if it cannot be started."""
        return self._shared.used()

    def target(self, path: str) -> Target:
        """Return how a file is asked for, within `used`."""
        with self._shared.used() as running:
            url = f"{running.url}/{quote(f'[{self.name}:]', safe='')}/{quote(self._below(path), safe='/~')}"
            return Target(url, f"{self.place}/{path}", (f"Authorization: Basic {_basic(running)}",))

    @contextmanager
    def copied(self, path: str) -> Iterator[IO[bytes]]:
        """Yield a private copy of a file as the service sends it, whatever size and hash it lists.

        `target` serves a file in its listed length alone. Raise SourceError.
        """
        with self._shared.used() as running:
            copy = Path(running.folder, uuid4().hex)
            try:
                self._call(
                    "operations/copyfile", path, None, srcFs=f"{self.name}:", srcRemote=self._below(path),
                    dstFs=running.folder, dstRemote=copy.name,
                    _config={"IgnoreSize": True, "IgnoreChecksum": True, "MultiThreadStreams": 0},
                )  # fmt: skip
                with copy.open("rb") as file:
                    yield file
            finally:
                copy.unlink(missing_ok=True)

    def _options(self) -> dict[str, Any]:
        return {
            "showHash": bool(self.hashes), "hashTypes": self.hashes, "showOrigIDs": True, "noMimeType": True,
            "noModTime": not self.has_times, "metadata": self.features()["says_creation"],
        }  # fmt: skip

    def _below(self, path: str) -> str:
        return f"{self.root}/{path}".strip("/") if self.root else path.rstrip("/")

    def _call(
        self, command: str, path: str = "", seconds: float | None = _LIST_SECONDS, /, **parameters: Any
    ) -> dict[str, Any]:
        place = f"{self.place}/{path}" if path else self.place
        limits = httpx.Timeout(seconds, connect=self._connect)
        try:
            with (
                self._shared.used() as running,
                httpx.Client(auth=running.login, timeout=limits, trust_env=False) as client,
                client.stream("POST", f"{running.url}/{command}", json=parameters) as answer,
            ):
                said = _json(_body(answer, place), place)
        except httpx.TimeoutException as error:
            raise source_error("timeout", f"rclone did not answer ({command})", place) from error
        except httpx.HTTPError as error:
            raise source_error("connection_lost", f"rclone does not answer ({command}: {error})", place) from error
        if answer.status_code != 200:
            raise rclone_error(str(said.get("error", "")), place, answer.status_code)
        return said


def _body(answer: httpx.Response, place: str) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > _MOST_BYTES:
            raise source_error("enumeration_failed", f"The list of a folder has more than {_MOST_BYTES:,} bytes", place)
        parts.append(part)
    return b"".join(parts)


def _json(body: bytes, place: str) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError as error:
        raise source_error("enumeration_failed", f"rclone's answer is not JSON ({error})", place) from error
    if not isinstance(said, dict):
        raise source_error("enumeration_failed", "rclone's answer is no object of JSON", place)
    return said


def _basic(running: Rclone) -> str:
    return base64.b64encode(":".join(running.login).encode()).decode()
