"""The custody log of a job: who did what to it, and when. Entries are appended and never changed.

    custody/000001.json     one entry: number, at, who, action, details, previous, seal

`previous` is the SHA-256 (hex) of the bytes of the entry before, so ``sha256sum`` checks the chain; in the first entry
it is `FIRST`. `seal` is the SHA-256 of the entry's own JSON without `seal`, so that damage to the last entry is found
too. An entry is JSON in one form only (sorted keys, indent 1, ASCII, a newline at the end). Entries are numbered from 1
and made by conditional create: if two writers want the same number, one gets it and the other takes the next.

A user who can write to the store can replace the whole log. Comparing the SHA-256 of the last entry with a copy that is
kept outside of the store detects that.

A log may begin before job.json exists (a draft). After a deletion only the last entry is left, with the action
`DELETED`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.errors import CorruptPart, JobNotFound, KeyExists, KeyMissing, StoreUnavailable
from prefect_collect.job_folder import json_fields, store_keys
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.pool import Pool
from prefect_collect.untrusted.bounded_json import MAX_BYTES, BadValue, parse_json

if TYPE_CHECKING:
    from prefect_collect.job_folder.folder import JobFolder

FIRST: Final = "0" * 64
"""The value of `previous` in the first entry."""

DELETED: Final = "deleted"
"""The action of the last entry of a job: after it nothing is done to the job."""

_OF_DELETED: Final = f'\n "action": "{DELETED}",\n'.encode()
_WHO: Final = b'\n "who": '
"""How these fields of an entry begin a line: those of its details are further in, and texts have no line breaks."""

_ACTION: Final = re.compile(r"[a-z]+(-[a-z]+)*")
_NUMBER: Final = re.compile(r"/custody/(\d{6,9})\.json\Z")
_MANY: Final = 8
_THREADS: Final = 16
_TRIES: Final = 1000
"""Each lost race means that another writer added an entry, so only a faulty store reaches this number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. `at` is UTC in ISO 8601; `sha256` (hex) is the hash of the entry's bytes."""

    number: int
    at: str
    who: str
    action: str
    details: Mapping[str, Any]
    previous: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or a notice of a verification: the key below the job's folder that it is about, and what was found."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(slots=True)
class Chain:
    """The outcome of checking a log: the entries that can be read, in order, and the problems."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)

    @property
    def is_deleted(self) -> bool:
        """Return whether the job was deleted."""
        return bool(self.entries) and self.entries[-1].action == DELETED

    @property
    def fingerprint(self) -> str:
        """The SHA-256 (hex) of the last entry, which covers the whole log; "" if there is none."""
        return self.entries[-1].sha256 if self.entries else ""


def append(folder: JobFolder, action: str, details: Mapping[str, Any] | None = None, who: str | None = None) -> Entry:
    """Add an entry to the log, and return it.

    Args:
        action: Lower-case words joined by dashes.
        details: Anything that JSON can hold.
        who: The user who did it; the folder's `who` if not given.

    Raises:
        JobNotFound: The job was deleted.
        StoreError: The store cannot be read or written.
        ValueError: The action has another form, or the details hold a number that JSON lacks (infinity).
    """
    if _ACTION.fullmatch(action) is None:
        raise ValueError(f"an action is lower-case words with dashes, not {action!r}")
    number = 0
    for _ in range(_TRIES):
        number = number or _last(folder)
        previous = FIRST
        if number:
            try:
                data = _read(folder, number)
            except KeyMissing:  # deleted since
                number = 0
                continue
            _refuse_deleted(folder, data, number)
            previous = hashlib.sha256(data).hexdigest()
        number += 1
        values = {
            "number": number, "at": datetime.now(UTC).isoformat(), "who": who or folder.who, "action": action,
            "details": _as_read(dict(details or {})), "previous": previous,
        }  # fmt: skip
        sealed = _sealed(values)
        try:
            folder.store.create(store_keys.custody_key(folder.job_id, number), sealed)
        except KeyExists:
            continue
        return Entry(**values, sha256=hashlib.sha256(sealed).hexdigest())
    raise StoreUnavailable(f"No entry can be added to the custody log. [{_locate(folder, number)}]")


def require_not_deleted(folder: JobFolder) -> None:
    """Raise JobNotFound if the log records that the job was deleted."""
    last = _last(folder)
    if last:
        _refuse_deleted(folder, _read(folder, last), last)


def entries(folder: JobFolder) -> list[Entry]:
    """Return all entries in order. Raise CorruptPart if one cannot be read, StoreError."""
    return [_entry(folder, number, data) for number, data in _each(folder, _numbers(folder))]


def check_chain(folder: JobFolder, known: Iterable[Entry] = ()) -> Chain:
    """Check the whole log: no gap, every hash right, every entry unchanged. Raise StoreError.

    The log of a deleted job may begin with any entry, because those before its last entry were deleted with the job.
    Entries in `known`, which were read and checked before, are not read again if they are still there.
    """
    chain = Chain()
    numbers = _numbers(folder)
    present = {*numbers}
    chain.entries = [entry for entry in known if entry.number in present]
    hashes = {entry.number: entry.sha256 for entry in chain.entries}
    for number, data in _each(folder, [number for number in numbers if number not in hashes]):
        hashes[number] = hashlib.sha256(data).hexdigest()
        try:
            chain.entries.append(_entry(folder, number, data))
        except CorruptPart as error:
            chain.problems.append(Finding(_place(number), str(error).rpartition(" [")[0]))
    chain.entries.sort(key=lambda entry: entry.number)
    for entry in chain.entries:
        expected = FIRST if entry.number == 1 else hashes.get(entry.number - 1)
        if expected is not None and entry.previous != expected:
            before = f"{_place(entry.number - 1)}" if entry.number > 1 else "nothing, as the first entry must"
            what = f"it does not hold the hash of {before}: one of them was changed after it was written"
            chain.problems.append(Finding(_place(entry.number), what))
    if not chain.is_deleted:
        for last, number in zip([0, *numbers], numbers, strict=False):
            lost = number - last - 1
            more = f", and the {lost - 1:,} after it" if lost > 1 else ""
            chain.problems += [Finding(_place(last + 1), f"the entry is missing{more}")] if lost else []
    chain.problems.sort(key=lambda problem: problem.place)
    return chain


def _entry(folder: JobFolder, number: int, data: bytes) -> Entry:
    where = _locate(folder, number)
    try:
        values = parse_json(data, json_fields.ENTRY)
    except BadValue as error:
        raise CorruptPart(f"The entry of the custody log cannot be understood: {error}. [{where}]") from error
    del values["seal"]
    if _sealed(values) != data:
        raise CorruptPart(f"The entry of the custody log was changed after it was written. [{where}]")
    if values["number"] != number:
        raise CorruptPart(f"The entry of the custody log has the number {values['number']} of another. [{where}]")
    return Entry(**values, sha256=hashlib.sha256(data).hexdigest())


def _refuse_deleted(folder: JobFolder, data: bytes, number: int) -> None:
    if _OF_DELETED not in data:  # most entries need not be read for this
        return
    try:
        entry = _entry(folder, number, data)
    except CorruptPart:
        return
    if entry.action == DELETED:
        raise JobNotFound(f"The job was deleted by {entry.who} at {entry.at}. [job={folder.job_id}]")


def _last(folder: JobFolder) -> int:
    return max(_numbers(folder), default=0)


def _numbers(folder: JobFolder) -> list[int]:
    blobs = folder.store.list(f"{folder.job_id}/custody/")
    found = (match[1] for blob in blobs if (match := _NUMBER.search(blob.key)))
    return sorted(number for text in found if (number := store_keys.numbered(text, 6, store_keys.MAX_PART)) is not None)


def _each(folder: JobFolder, numbers: list[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of these numbers; of a remote store many at once, as each takes a request."""
    if isinstance(folder.store, DirectoryStore) or len(numbers) < _MANY:
        yield from ((number, _read(folder, number)) for number in numbers)
        return
    with Pool(_THREADS, "custody") as pool:
        yield from zip(numbers, pool.map(lambda number: _read(folder, number), numbers), strict=True)


def _read(folder: JobFolder, number: int) -> bytes:
    return folder.store.read(store_keys.custody_key(folder.job_id, number), 0, MAX_BYTES + 1)


def _place(number: int) -> str:
    return store_keys.custody_key("", number)[1:]


def _locate(folder: JobFolder, number: int) -> str:
    return folder.store.locate(store_keys.custody_key(folder.job_id, number))


def _sealed(values: dict[str, Any]) -> bytes:
    """Return the entry with its seal, which is the hash of the entry without it; `who` is the field after it."""
    data = _encoded(values)
    before, after, who = data.rpartition(_WHO)
    seal = f'\n "seal": "{hashlib.sha256(data).hexdigest()}",'
    return b"".join((before, seal.encode(), after, who))


def _encoded(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=1, sort_keys=True, allow_nan=False, default=_plain).encode("ascii") + b"\n"


def _as_read(details: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(details, sort_keys=True, allow_nan=False, default=_plain))


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
