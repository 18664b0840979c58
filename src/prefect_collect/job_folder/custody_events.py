"""The custody events of a job's own life: that it was created, and the start and end of each attempt.

    evidence/0001.sha256    the SHA-256 of every file of that attempt, in the format of ``sha256sum --check``

The entry of an attempt's end holds the hash of that list, so the chain of the log covers every file of the job. The
items are covered by the ledger, which holds the SHA-256 of each.

A process can die between an event and the entry about it. The next attempt, or a call of `record_missed_events`, then
adds the entry, marked as ``late``: see `custody_rules` for when that is allowed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.errors import EvidenceError, JobNotFound, KeyExists, KeyMissing, StoreError, StoreUnavailable
from prefect_collect.escaping import one_line
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.custody_rules import CREATED, ENDED, STARTED, damage_of, recorded_events
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.threads.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect_collect.job_folder.custody_log import Entry
    from prefect_collect.job_folder.folder import JobFolder
    from prefect_collect.job_folder.result import TaskResult

EXPORTED: Final = "exported"
RECOVERED: Final = "recovered"
DOWNLOADED: Final = "downloaded"
VIEWED: Final = "viewed"
DOWNLOADED_ITEM: Final = "downloaded-item"
DOWNLOADED_REPORT: Final = "downloaded-report"
SELECTED: Final = "selected"

_LOG: Final = logging.getLogger(__name__)
_REMOTE_THREADS: Final = 16
_HEX: Final = 64
_PIECE: Final = 1 << 20
_MOST_LISTED: Final = 1_000_000
_LONGEST_LIST: Final = 128 << 20
_LONGEST_LINE: Final = 2_000
"""The most files, bytes, and bytes a line that the list of an attempt may have: two files for each 2,000 items."""

_OWN: Final = re.compile(r"[a-z]+[/.][0-9a-z/.-]{1,80}")
"""Names of a job's own files. Other names are left out: a line break in a name would make two lines of the list."""


def record_created(folder: JobFolder, *, late: bool = False) -> Entry:
    """Record that the job was created, with the hashes of job.json and its patterns. Raise KeyMissing, StoreError."""
    patterns = [blob.key for blob in folder.store.list(f"{folder.job_id}/query/")]
    return _enter(folder, CREATED, {}, [store_keys.job_key(folder.job_id), *patterns], late=late)


def record_start(folder: JobFolder, attempt: int, *, late: bool = False) -> Entry:
    """Record that the attempt's number was claimed, with the hash of the claim. Raise KeyMissing, StoreError."""
    return _enter(folder, STARTED, {"attempt": attempt}, [store_keys.attempt_key(folder.job_id, attempt)], late=late)


def record_end(folder: JobFolder, attempt: int, result: TaskResult | None = None, *, late: bool = False) -> Entry:
    """Record that the attempt has ended, with the hash of every file of it. Raise StoreError."""
    details: dict[str, Any] = {"attempt": attempt}
    try:
        result = result or folder.result(attempt)
    except EvidenceError:
        result = None
    if result is not None:
        counts = {f"{k}": v for k, v in asdict(result.counts).items()}
        details |= {"status": str(result.status), "task_status": str(result.task_status), "counts": counts}
        details |= {"package": result.package, "fingerprint": result.fingerprint} if result.package else {}
    hashes = dict(file_hashes(folder.store, attempt_files(folder, attempt)))
    key = store_keys.evidence_key(folder.job_id, attempt)
    listed = "".join(f"{sha256}  {below(folder, name)}\n" for name, sha256 in hashes.items()).encode()
    lines, files = len(hashes), {below(folder, key): hashlib.sha256(listed).hexdigest()}
    try:
        folder.store.create(key, listed)
    except KeyExists:  # the process died before it recorded the list, or others planted it: verify tells which
        files[below(folder, key)], lines = _hashed(folder.store, key)
    report = store_keys.report_key(folder.job_id, attempt, "errors.parquet")
    for name in (
        store_keys.result_key(folder.job_id, attempt),
        store_keys.manifest_key(folder.job_id, attempt),
        report,
    ):
        if name in hashes:
            files[below(folder, name)] = hashes[name]
    details["listed"] = lines
    entry = custody_log.append(folder, ENDED, {**details, "files": files, **({"late": True} if late else {})})
    if result is not None and result.package and result.collection:
        _note_export(folder, result, result.collection)
    return entry


def _note_export(folder: JobFolder, result: TaskResult, collection: Mapping[str, Any]) -> None:
    """Record in the collection's log that it was exported.

    The collection may have been deleted, or never existed here.
    """
    exported = folder.beside(str(collection["job_id"]))
    details = {"job": folder.job_id, "package": result.package, "fingerprint": result.fingerprint}
    if exported.exists():
        record_event(exported, EXPORTED, {"attempt": collection["attempt"], **details})


def record_event(
    folder: JobFolder, action: str, details: Mapping[str, Any] | None = None, who: str | None = None
) -> None:
    """Append an entry about what has already happened: an error of the store is logged, and not raised."""
    try:
        custody_log.append(folder, action, details, who)
    except (StoreError, JobNotFound) as error:
        _LOG.warning("The custody log could not be extended by the entry %r: %s", action, one_line(str(error)))


def record_end_if_possible(folder: JobFolder, result: TaskResult) -> None:
    """Call `record_end` for a result that is written.

    If the store fails, `record_missed_events` adds the entry later.
    """
    try:
        record_end(folder, result.attempt, result)
    except (StoreError, JobNotFound) as error:
        _LOG.warning("The end of attempt %d is not in the custody log yet: %s", result.attempt, one_line(str(error)))


def record_missed_events(folder: JobFolder) -> list[Entry]:
    """Add the entries that a process which died did not write, and return them. Raise JobNotFound, StoreError.

    A damaged log (`damage_of`) is left as it is: late entries cannot replace what was taken out of it.
    """
    custody_log.require_not_deleted(folder)
    chain = custody_log.check_chain(folder)
    if damage_of(folder, chain):
        return []
    known = recorded_events(chain)
    made: list[Entry] = []
    if (CREATED, None) not in known and folder.exists():
        made.append(record_created(folder, late=True))
    closed = set(folder.closed_attempts())
    for attempt in folder.attempts():
        if (STARTED, attempt) not in known:
            made.append(record_start(folder, attempt, late=True))
        if attempt in closed and (ENDED, attempt) not in known:
            made.append(record_end(folder, attempt, late=True))
    return made


def attempt_files(folder: JobFolder, attempt: int) -> list[str]:
    """Return the keys of an attempt's files, with job.json, without segments and without names that no job writes."""
    job_id, store = folder.job_id, folder.store
    keys = [store_keys.job_key(job_id), store_keys.manifest_key(job_id, attempt)]
    for prefix in ("attempts/{:04d}.", "inventory/{:04d}/", "ledger/{:04d}/", "reports/{:04d}/"):
        keys += [blob.key for blob in store.list(f"{job_id}/{prefix.format(attempt)}")]
    return [key for key in keys if _OWN.fullmatch(below(folder, key))]


def file_hashes(store: Store, keys: list[str]) -> Iterator[tuple[str, str]]:
    """Yield key and SHA-256 (hex) of each file, in order; files that do not exist are left out. Raise StoreError."""
    threads = (os.cpu_count() or 1) if isinstance(store, DirectoryStore) else _REMOTE_THREADS
    with Pool(min(threads, _REMOTE_THREADS), "hash") as pool:
        for key, sha256 in zip(keys, pool.map(lambda key: _hash(store, key), keys), strict=True):
            if sha256 is not None:
                yield key, sha256


def listed_hashes(store: Store, key: str, sha256: str) -> dict[str, str] | None:
    """Return name and SHA-256 (hex) of each file in an attempt's list; None if the list was changed or is missing.

    The list was changed if its own SHA-256 is not `sha256`, or if it is longer than the list of any attempt. Raise
    StoreError.
    """
    found: dict[str, str] = {}
    digest, size = hashlib.sha256(), 0
    try:
        with store.open(key) as file:
            while line := file.readline(_LONGEST_LINE):
                digest.update(line)
                size += len(line)
                if size > _LONGEST_LIST or len(found) > _MOST_LISTED:
                    return None
                text = line.decode("utf-8", "replace").rstrip("\n")
                found.setdefault(text[_HEX + 2 :], text[:_HEX])
    except KeyMissing:
        return None
    except OSError as error:
        raise StoreUnavailable(f"It cannot be read ({error.strerror}). [{store.locate(key)}]") from error
    return found if digest.hexdigest() == sha256 else None


def below(folder: JobFolder, key: str) -> str:
    """Return a key without the job's folder."""
    return key.removeprefix(f"{folder.job_id}/")


def _hash(store: Store, key: str) -> str | None:
    try:
        return _hashed(store, key)[0]
    except KeyMissing:
        return None


def _hashed(store: Store, key: str) -> tuple[str, int]:
    """Return the SHA-256 (hex) and the number of line breaks of a file of any size. Raise KeyMissing, StoreError."""
    digest, lines = hashlib.sha256(), 0
    try:
        with store.open(key) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                lines += piece.count(b"\n")
    except OSError as error:
        raise StoreUnavailable(f"It cannot be read ({error.strerror}). [{store.locate(key)}]") from error
    return digest.hexdigest(), lines


def _enter(folder: JobFolder, action: str, details: dict[str, Any], keys: list[str], *, late: bool) -> Entry:
    files = {below(folder, key): _hashed(folder.store, key)[0] for key in keys}
    return custody_log.append(folder, action, {**details, "files": files, **({"late": True} if late else {})})
