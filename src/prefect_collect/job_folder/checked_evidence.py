"""The files of a job, checked before they are used, because others can write to the staging store too.

`Vouched` reads a file only if its hash is the one in the job's custody log, which itself must be whole
(`custody_rules`). `manifest_rules` checks every row of a manifest against the rules by which manifests are written: the
path is the safe path of the item, the segment has the name of one of this job's segments, the numbers are possible, and
no id occurs twice. What passes both is then checked byte by byte by `packages`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pyarrow as pa

from prefect_collect.errors import CorruptPart, JobNotFound
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.custody_events import below, file_hashes, listed_hashes, record_missed_events
from prefect_collect.job_folder.custody_log import Entry
from prefect_collect.job_folder.custody_rules import ENDED, damage_of, require_whole, vouches
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.parquet import read_batches
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.untrusted.bounded_json import changed

_ATTEMPT: Final = re.compile(r"[a-z]+/(\d{4,5})[/.]", re.ASCII)


class Vouched:
    """The files that the custody log of a job vouches for: every entry of the log is read once."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._chain = custody_log.check_chain(folder)
        self._hashes: dict[str, str] = {}
        self._doubted: set[str] = set()
        self._lists: dict[int, tuple[str, str]] = {}
        self._lost: set[tuple[str, str]] = set()
        self._ended: dict[int, bool] = {}
        for entry in self._chain.entries:
            if vouches(entry):
                self._take(entry)

    @property
    def damage(self) -> str:
        """What is wrong with the log, as the beginning of a sentence; "" if the log is whole."""
        return damage_of(self._folder, self._chain)

    def require_whole(self) -> None:
        """Raise EvidenceError unless the log is whole."""
        require_whole(self._folder, self._chain)

    def has_end(self, attempt: int) -> bool:
        """Return whether the log has an entry for the end of the attempt."""
        return attempt in self._ended

    def entries_to_end(self, attempt: int) -> list[Entry]:
        """Return the entries of the log up to the end of the attempt; none if the log does not have its end."""
        for at, entry in enumerate(self._chain.entries, 1):
            if entry.action == ENDED and vouches(entry) and entry.details.get("attempt") == attempt:
                return self._chain.entries[:at]
        return []

    def late(self, attempt: int) -> str:
        """Return the warning that the end of this attempt, or of one before it, was recorded late; "" if none was."""
        ended = {number: self._ended.get(number, True) for number in self._folder.closed_attempts()}
        late = [number for number, is_late in ended.items() if is_late and number <= attempt]
        if not late:
            return ""
        return (
            f"The custody log of job {self._folder.job_id} recorded the end of attempt {late[0]} late: the process "
            "died before it wrote the entry, or the end of the log was cut off. Until the entry was added, nothing "
            "vouched for the attempt's files."
        )

    def _take(self, entry: Entry) -> None:
        for name, sha256 in entry.details.get("files", {}).items():
            self._note(name, sha256)
            if entry.action == ENDED and name.startswith("evidence/"):
                self._lists[entry.details.get("attempt", 0)] = name, sha256
        if entry.action == ENDED:
            self._ended.setdefault(entry.details.get("attempt", 0), entry.details.get("late") is True)

    def _note(self, name: str, sha256: str) -> None:
        if self._hashes.setdefault(name, sha256) != sha256:
            self._doubted.add(name)

    def sha256(self, name: str) -> str | None:
        """Return the SHA-256 (hex) that a file (by its name in the job's folder) must have; None if the log lacks it.

        The log does not name files of an attempt that has not ended, or whose process died before it recorded the end.
        Raise CorruptPart if the log has two hashes of the file, if the attempt has ended without that file, or if the
        list of files that the log names was changed or is missing.
        """
        found = self._hashes.get(name) or self._listed(name)
        number = _ATTEMPT.match(name)
        if name in self._doubted:
            what = "The custody log holds two different hashes of a file: it was changed in between."
        elif found is None and number is not None and int(number[1]) in self._ended:
            what = "The custody log does not name a file of an attempt that has ended: it was put there later."
        else:
            return found
        raise CorruptPart(f"{what} Restore the job's folder from a backup. [{self._locate(name)}]")

    def require_unchanged(self, *names: str) -> None:
        """Raise CorruptPart if a file is missing or differs from its hash in the log.

        Files that the log does not name pass.
        """
        wanted = {name: sha256 for name in names if (sha256 := self.sha256(name)) is not None}
        found = dict(file_hashes(self._folder.store, [self._key(name) for name in wanted]))
        for name, sha256 in wanted.items():
            if found.get(self._key(name)) != sha256:
                raise CorruptPart(changed(self._folder.store, self._key(name)))

    def hashes(self, names: list[str]) -> dict[str, str]:
        """Return the SHA-256 (hex) that each file must have, without those files that the log does not vouch for."""
        known: dict[str, str] = {}
        for name in names:
            with suppress(CorruptPart):
                if (sha256 := self.sha256(name)) is not None:
                    known[name] = sha256
        return known

    def require_attempt(self, attempt: int) -> None:
        """Raise CorruptPart if job.json, or the result, manifest or error report of the attempt, was changed."""
        job = self._folder.job_id
        keys = [store_keys.result_key(job, attempt), store_keys.manifest_key(job, attempt)]
        keys.append(store_keys.report_key(job, attempt, "errors.parquet"))
        self.require_unchanged("job.json", *(key.removeprefix(f"{job}/") for key in keys))

    def record(self) -> JobRecord:
        """Return what was asked for, from job.json. Raise JobNotFound, CorruptPart."""
        return self._folder.record(self.sha256("job.json"))

    def result(self, attempt: int) -> TaskResult:
        """Return the result of an attempt that has ended. Raise JobNotFound, CorruptPart."""
        name = below(self._folder, store_keys.result_key(self._folder.job_id, attempt))
        found = self._folder.result(attempt, self.sha256(name))
        if found is None:
            raise JobNotFound(f"Attempt {attempt} of the job has no result. [job={self._folder.job_id}]")
        return found

    def batches(self, key: str, columns: list[str] | None = None, rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a Parquet file.

        Raise KeyMissing, or CorruptPart before the first row if it was changed.
        """
        return read_batches(self._folder.store, key, columns, rows, sha256=self.sha256(below(self._folder, key)))

    def _listed(self, name: str) -> str | None:
        """Return the file's hash from the list of its attempt.

        Raise CorruptPart if the list was changed or is missing.
        """
        number = _ATTEMPT.match(name)
        listed = self._lists.get(int(number[1])) if number is not None else None
        if number is None or listed is None:
            return None
        found = None if listed in self._lost else listed_hashes(self._folder.store, self._key(listed[0]), listed[1])
        if found is None:
            self._lost.add(listed)
            raise CorruptPart(changed(self._folder.store, self._key(listed[0])))
        self._lists.pop(int(number[1]))
        for each, sha256 in found.items():
            self._note(each, sha256)
        return self._hashes.get(name)

    def _key(self, name: str) -> str:
        return f"{self._folder.job_id}/{name}"

    def _locate(self, name: str) -> str:
        return self._folder.store.locate(self._key(name))


def vouched(folder: JobFolder, attempt: int, *, enter: bool = True) -> Vouched:
    """Return what vouches for an attempt that has ended, for all who read the attempt's files.

    If the process of the attempt died before it recorded the end, the missing entry is added now; without `enter`
    nothing is written. Raise EvidenceError if the log is not whole, CorruptPart if job.json or the result differ from
    the log, StoreError.
    """
    found = Vouched(folder)
    found.require_whole()
    if enter and not found.has_end(attempt):
        record_missed_events(folder)
        found = Vouched(folder)
    found.require_unchanged("job.json", below(folder, store_keys.result_key(folder.job_id, attempt)))
    return found
