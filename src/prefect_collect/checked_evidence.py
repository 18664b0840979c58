"""What the staging store says of a collection, checked before it is used: others can write there too.

`Vouched` compares files with the hashes in the job's custody log. `manifest_rules` holds every row of a manifest to the
rules by which it was written: its path is the safe one of the item, its segment has the name of one of this job's, its
numbers can be, no id comes twice. What agrees with both is then proven byte by byte by `packages`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from prefect_collect import _job_fields, custody, layout
from prefect_collect.bounded_json import BadValue
from prefect_collect.custody import Entry
from prefect_collect.errors import CorruptPart, EvidenceError
from prefect_collect.jobfolder import JobFolder
from prefect_collect.recording import CREATED, ENDED, below, complete, file_hashes

_HEX: Final = 64


class Vouched:
    """The files that the custody log of a job vouches for; every entry of the log is read once."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._chain = custody.check_chain(folder)
        self._hashes: dict[str, str] = {}
        self._lists: dict[int, tuple[str, str]] = {}
        self._ended: dict[int, bool] = {}
        for entry in self._chain.entries:
            self._take(entry)

    def has_end(self, attempt: int) -> bool:
        """Whether the log says that the attempt has ended."""
        return attempt in self._ended

    def is_late(self, attempt: int) -> bool:
        """Whether that was entered later than it should, so that nothing vouched for the attempt's files before."""
        return self._ended.get(attempt, False)

    def _take(self, entry: Entry) -> None:
        try:
            _job_fields.VOUCHED({"attempt": 1, **entry.details}, "details")
        except BadValue:
            return
        for name, sha256 in entry.details.get("files", {}).items():
            self._hashes[name] = sha256  # that of an attempt closed again, after its result was lost, stands later
            if entry.action == ENDED and name.startswith("evidence/"):
                self._lists[entry.details.get("attempt", 0)] = name, sha256
        if entry.action == ENDED:
            self._ended.setdefault(entry.details.get("attempt", 0), entry.details.get("late") is True)

    def require_whole(self) -> None:
        """Raise EvidenceError unless the log is there from its start, and nothing in it was changed."""
        job = self._folder.job_id
        if self._chain.problems:
            raise EvidenceError(
                f"The custody log of the job was changed ({self._chain.problems[0]}), so nothing vouches for its "
                f"files. See `prefect-collect verify {job}`, and restore it from a backup. [job={job}]"
            )
        if all(entry.action != CREATED for entry in self._chain.entries):
            raise EvidenceError(
                "The custody log of the job is gone, or does not begin where the job does, so nothing vouches for its "
                f"files; restore it from a backup. [job={job}]"
            )

    def require_unchanged(self, *names: str) -> None:
        """Raise CorruptPart if one of the files (named below the job's folder) is not as the log says, or is gone.

        A file that the log does not name passes: its attempt has not ended, or its process died before it said so.
        """
        for name in names:
            wanted = self._hashes.get(name) or self._listed(name)
            if wanted is not None and self._hash(name) != wanted:
                where = self._folder.store.locate(f"{self._folder.job_id}/{name}")
                raise CorruptPart(
                    "A file of the job is not the one that its custody log vouches for (its SHA-256 differs). Restore "
                    f"it from a backup. [{where}]"
                )

    def unchanged(self, names: list[str]) -> set[str]:
        """Those of the files that the log names, directly or in a list that is as it says, and that are as it says."""
        wanted: dict[str, str] = {}
        for name in names:
            with suppress(CorruptPart):
                if (sha256 := self._hashes.get(name) or self._listed(name)) is not None:
                    wanted[f"{self._folder.job_id}/{name}"] = sha256
        found = file_hashes(self._folder.store, [*wanted])
        return {below(self._folder, key) for key, sha256 in found if sha256 == wanted[key]}

    def require_attempt(self, attempt: int) -> None:
        """`require_unchanged` for what an attempt says of all items: its result, manifest and error report."""
        job = self._folder.job_id
        keys = [layout.result_key(job, attempt), layout.manifest_key(job, attempt)]
        keys.append(layout.report_key(job, attempt, "errors.parquet"))
        self.require_unchanged("job.json", *(key.removeprefix(f"{job}/") for key in keys))

    def _listed(self, name: str) -> str | None:
        """The hash in the list of the file's attempt. Raises CorruptPart if the list was changed, or is gone."""
        number = "".join(filter(str.isdigit, name.partition("/")[2][:5]))
        listed = self._lists.get(int(number)) if number else None
        if listed is None:
            return None
        self._lists.pop(int(number))
        self.require_unchanged(listed[0])
        data = self._folder.store.read(f"{self._folder.job_id}/{listed[0]}")
        for line in data.decode("utf-8", "replace").splitlines():
            self._hashes.setdefault(line[_HEX + 2 :], line[:_HEX])
        return self._hashes.get(name)

    def _hash(self, name: str) -> str | None:
        key = f"{self._folder.job_id}/{name}"
        return dict(file_hashes(self._folder.store, [key])).get(key)


def vouched(folder: JobFolder, attempt: int) -> Vouched:
    """What vouches for an attempt that has ended; the entry of its end is made now if its process died before that.

    Raises EvidenceError if the log is not whole, CorruptPart if the attempt is not as the log says, StoreError.
    """
    found = Vouched(folder)
    found.require_whole()
    if not found.has_end(attempt):
        complete(folder)
        found = Vouched(folder)
    found.require_attempt(attempt)
    return found


def require_vouched(folder: JobFolder, attempt: int) -> None:
    """Raise CorruptPart if what an attempt says of all items is not what the custody log vouches for."""
    Vouched(folder).require_attempt(attempt)
