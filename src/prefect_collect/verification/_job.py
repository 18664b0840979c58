"""Verifies a job from its folder in the staging store: offline, without Prefect, and without writing anything.

    found = verify_job(JobFolder(open_store("/staging"), job_id))
    found.valid, found.problems

It checks the custody log's chain; the SHA-256 of every file that the log vouches for; that result, manifest, ledger and
error report agree; and every byte of every segment. This proves the items of a collection; an export's items are proven
by verifying its package.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from prefect_collect.archive.problems import Problems
from prefect_collect.errors import CorruptPart, EvidenceError, JobNotFound, KeyMissing
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.custody_log import DELETED, Chain
from prefect_collect.job_folder.custody_rules import ENDED
from prefect_collect.job_folder.folder import JobFolder, now
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.packages import Problem
from prefect_collect.verification._file_hashes import FileCheck
from prefect_collect.verification._ledger import LedgerCheck

_NUMBERED: Final = re.compile(r"(?:attempts|inventory|ledger|segments|manifest|reports|evidence)/(\d{4,})[./]")

_ENTRY: Final = re.compile(r"custody/\d{6,9}\.json", re.ASCII)

_ENTERING: Final = timedelta(minutes=10)
"""How long a running process may take from an attempt's result to the entry that vouches for its files."""


@dataclass(frozen=True, slots=True)
class JobVerification:
    """The result of `verify_job`.

    `problems` make the job invalid; `warnings` do not. `entries` counts the entries of the custody log, `files` the
    files whose hash is right, `items` and `bytes` the items held and proven. `fingerprint` is the SHA-256 (hex) of the
    log's last entry: it covers the whole job, and can be compared with a copy kept outside of the store.
    """

    location: str
    job_id: str
    problems: list[Problem]
    warnings: list[Problem]
    entries: int
    files: int
    items: int
    bytes: int
    fingerprint: str
    deleted: bool = False

    @property
    def valid(self) -> bool:
        """Return whether there are no problems."""
        return not self.problems


def verify_job(folder: JobFolder, progress: Callable[[int, int], None] | None = None) -> JobVerification:
    """Check a job against its custody log, and its items against its ledger.

    `progress` is called, one call at a time, with the files and bytes done since the last call. Raise JobNotFound if
    neither the job nor its log exists, StoreError.
    """
    problems, warnings = Problems(), Problems()
    chain = custody_log.check_chain(folder)
    for finding in chain.problems:
        problems.add(finding.place, finding.what)
    files = FileCheck(folder, problems, progress)
    account = LedgerCheck(folder, problems, warnings, files, progress)
    if chain.is_deleted:
        _check_deleted(chain, files, warnings)
    elif not chain.entries and not files.present:
        raise JobNotFound(f"No job {folder.job_id} is in the staging store {folder.store.url}. [job={folder.job_id}]")
    else:
        _check_present(folder, chain, files, account, problems, warnings)
    return JobVerification(
        location=folder.store.locate(folder.job_id),
        job_id=folder.job_id,
        problems=problems.finish(),
        warnings=warnings.finish(),
        entries=len(chain.entries),
        files=files.right,
        items=account.items,
        bytes=account.bytes,
        fingerprint=chain.fingerprint,
        deleted=chain.is_deleted,
    )


def _check_deleted(chain: Chain, files: FileCheck, warnings: Problems) -> None:
    entry = chain.entries[-1]
    warnings.add("job.json", f"the job was {DELETED} by {entry.who} at {entry.at}")
    left = [name for name in files.present if not name.startswith("custody/")]
    if left:
        warnings.add(left[0], f"it and {len(left) - 1} more files of the job are left; delete the job again")


def _check_present(
    folder: JobFolder, chain: Chain, files: FileCheck, account: LedgerCheck, problems: Problems, warnings: Problems
) -> None:
    files.take(chain.entries)
    files.check()
    if not chain.entries:
        problems.add("custody", "there is no custody log, so nothing vouches for the job's files")
    for entry in chain.entries:
        if entry.details.get("late") is True:
            what = f"'{entry.action}' was entered late, after a process died: until then nothing vouched for its files"
            warnings.add(f"custody/{entry.number:06d}.json", what)
    recorded = (entry.details.get("attempt") for entry in chain.entries if entry.action == ENDED)
    ended = {attempt for attempt in recorded if isinstance(attempt, int)}
    unrecorded = sorted(set(folder.closed_attempts()) - ended)
    closed = sorted({*unrecorded, *ended})
    for attempt in unrecorded if chain.entries else []:
        _add_unrecorded(folder, attempt, problems, warnings)
    still = [attempt for attempt in folder.attempts() if attempt not in closed]
    for attempt in still:
        warnings.add(f"attempts/{attempt:04d}.json", "the attempt has not ended; its files are not verified yet")
    try:
        record = folder.record()
    except (JobNotFound, CorruptPart) as error:
        if "job.json" not in files.changed:
            problems.add("job.json", "it is missing" if isinstance(error, JobNotFound) else _without_place(error))
        return
    account.check(record, closed)
    _warn_of_strangers(files, account, {*still, *unrecorded, *files.unlisted}, warnings)


def _add_unrecorded(folder: JobFolder, attempt: int, problems: Problems, warnings: Problems) -> None:
    """Report a result without an entry: its process died, is about to write the entry, or the entry was removed."""
    place = f"reports/{attempt:04d}/result.json"
    try:
        result = folder.result(attempt)
        if result is not None and now() - result.ended < _ENTERING and is_alive(folder.claimed(attempt)):
            warnings.add(place, "the attempt has just ended; its entry in the custody log is being written")
            return
    except (KeyMissing, EvidenceError):
        pass
    problems.add(
        place,
        f"the custody log has no entry for the end of attempt {attempt}, so nothing vouches for its files: its process "
        "died before it wrote the entry (the next start adds it), or the entry was removed",
    )


def _warn_of_strangers(files: FileCheck, account: LedgerCheck, uncertain: set[int], warnings: Problems) -> None:
    for name in files.present:
        if name in files.recorded or name in account.segments or _ENTRY.fullmatch(name):
            continue
        numbered = _NUMBERED.match(name)
        if numbered is not None and int(numbered[1]) in uncertain:
            continue
        what = "a crash cut it off, or it was added later" if name.startswith("segments/") else "it was added later"
        warnings.add(name, f"nothing refers to it: {what}")


def _without_place(error: Exception) -> str:
    return str(error).rpartition(" [")[0]


__all__ = ["JobVerification", "Problem", "verify_job"]
