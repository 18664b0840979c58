"""Compares the files of a job with the hashes in its custody log."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prefect_collect.archive.problems import Problems
from prefect_collect.job_folder.custody_events import below, file_hashes, listed_hashes
from prefect_collect.job_folder.custody_log import Entry
from prefect_collect.job_folder.custody_rules import ENDED
from prefect_collect.job_folder.folder import JobFolder


class FileCheck:
    """The files that exist, and those that the log vouches for; names are relative to the job's folder."""

    def __init__(self, folder: JobFolder, problems: Problems, progress: Callable[[int, int], None] | None) -> None:
        self._folder, self._problems, self._progress = folder, problems, progress
        self.present = {below(folder, blob.key): blob.size for blob in folder.store.list(f"{folder.job_id}/")}
        self.recorded: dict[str, str] = {}
        """The SHA-256 (hex) of each file that the log vouches for."""
        self.changed: set[str] = set()
        """The files that differ from their recorded hashes."""
        self.listed: set[int] = set()
        """Attempts whose list of hashes could be read."""
        self.unlisted: set[int] = set()
        """Attempts whose list of hashes is missing or changed."""
        self._unread: set[str] = set()
        self.right = 0
        """How many files have their recorded hash."""

    def take(self, entries: Iterable[Entry]) -> None:
        """Add what the entries vouch for, directly or by a list."""
        for entry in entries:
            files = entry.details.get("files")
            if not isinstance(files, dict):
                continue
            for name, sha256 in files.items():
                self._record(str(name), str(sha256))
            attempt = entry.details.get("attempt")
            if entry.action == ENDED and isinstance(attempt, int):
                self._take_list(attempt, {str(name): str(sha256) for name, sha256 in files.items()})

    def _take_list(self, attempt: int, files: dict[str, str]) -> None:
        name = next((name for name in files if name.startswith("evidence/")), None)
        if name is None or name not in self.present:
            self.unlisted.add(attempt)
            return
        listed = listed_hashes(self._folder.store, f"{self._folder.job_id}/{name}", files[name])
        if listed is None:
            self.unlisted.add(attempt)
            self._unread.add(name)
            return
        for each, sha256 in listed.items():
            self._record(each, sha256)
        self.listed.add(attempt)

    def _record(self, name: str, sha256: str) -> None:
        if self.recorded.setdefault(name, sha256) != sha256 and name not in self.changed:
            self.changed.add(name)
            self._problems.add(name, "the custody log holds two different hashes of it: it was changed between them")

    def check(self) -> None:
        """Compare every file that is vouched for. Raise StoreError."""
        wanted = [name for name in self.recorded if name in self.present]
        for name in sorted(self.recorded.keys() - self.present.keys()):
            self.changed.add(name)
            self._problems.add(name, "it is missing; the custody log vouches for it")
        start = len(self._folder.job_id) + 1
        for key, sha256 in file_hashes(self._folder.store, [f"{self._folder.job_id}/{name}" for name in wanted]):
            name = key[start:]
            if name not in self.changed and sha256 != self.recorded[name]:
                self.changed.add(name)
                self._problems.add(name, "it was changed after it was written (SHA-256 differs from the custody log's)")
            elif name in self._unread and name not in self.changed:
                self._problems.add(name, "it is longer than the list of any attempt, so nothing in it was used")
            self.right += name not in self.changed
            if self._progress is not None:
                self._progress(1, self.present[name])
