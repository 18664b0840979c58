"""A job's folder in the staging store: what was asked for, its attempts and their results."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, get_args

from prefect_collect.errors import (
    ActionNotAllowed,
    AttemptSuperseded,
    CorruptPart,
    JobNotFound,
    KeyMissing,
    StoreError,
)
from prefect_collect.job_folder import json_fields, store_keys
from prefect_collect.job_folder.acting import operator
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.parameters import Hash
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Store
from prefect_collect.untrusted.bounded_json import BadValue, Check, anything, parse_json, read_json, table_of

CUSTODIAN: Final = "custodian"
"""The option of a job's record that names the custodian; a job without one has no such option."""

CUSTODIAN_FOLDER: Final = "custodian_folder"
"""The option of a collection's record that says where each custodian has a folder, if it was asked for."""

CUSTODIANS: Final = "custodians"
"""The option of a collection's record with patterns of paths and their custodians, if it was asked for."""

SOURCE_SETTINGS: Final = "settings"
"""What a record says of a source's settings that are not their defaults: a JSON object, as a text."""

ESTIMATE: Final = "estimate"
"""The option of a collection's record with what was expected before it was made, as `estimates.Estimate.to_json`."""

_ATTEMPT = re.compile(r"/attempts/(\d{4,5})\.json\Z")
_RESULT = re.compile(r"/reports/(\d{4,5})/result\.json\Z")
_PART = re.compile(r"/part-(\d{5,9})\.parquet\Z")


def now() -> datetime:
    """Return the present time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class JobRecord:
    """What was asked for when a job was made: ``job.json``. It holds no secret.

    `source` is ``{"name", "type", "block_id", "location"}`` and its `SOURCE_SETTINGS`; `options` are the other
    parameters of the flow; `package_base` is the top folder of all the job's items, in segments and packages. In an
    export, `source` is the collection's, and `options` hold the collection's id, the destination and the format.
    """

    job_id: str
    kind: JobKind
    name: str
    source: dict[str, Any]
    package_base: str
    query: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    created_at: str = ""
    created_by: str = ""
    layout_version: int = store_keys.LAYOUT_VERSION

    @property
    def custodian(self) -> str:
        """The person or department whose data was collected; "" if it is not known. An export has its collection's."""
        return str(self.options.get(CUSTODIAN) or "")

    @property
    def custodian_folder(self) -> str:
        """Where each custodian has a folder (`collecting.custodians`); "" if that was not asked for."""
        return str(self.options.get(CUSTODIAN_FOLDER) or "")

    @property
    def custodians(self) -> list[dict[str, str]]:
        """The patterns of paths and their custodians (`collecting.custodians`), in order; none if not asked for."""
        return [*(self.options.get(CUSTODIANS) or ())]

    @property
    def source_settings(self) -> dict[str, Any]:
        """The settings of the source that were not their defaults, by field; none in records of earlier versions."""
        try:
            return parse_json(str(self.source.get(SOURCE_SETTINGS) or "{}").encode(), table_of(anything))
        except (BadValue, UnicodeEncodeError):
            return {}

    @property
    def hashes(self) -> tuple[Hash, ...]:
        """The hashes that a collection computes of each item beside SHA-256, in the order of `Hash`."""
        return tuple(name for name in get_args(Hash) if name in self.options.get("hashes", ()))


class JobFolder:
    """The folder of one job. Each file in it is written once.

    `who` is the user whom the custody log names for what is done through this object; by default, the user of the
    process.
    """

    def __init__(self, store: Store, job_id: str, who: str | None = None) -> None:
        self.store = store
        self.job_id = job_id
        self._who = who

    @property
    def who(self) -> str:
        """The user whom the custody log names for what is done through this object."""
        return self._who or operator()

    def beside(self, job_id: str) -> JobFolder:
        """Return another job's folder in the same store, for the same user."""
        return JobFolder(self.store, job_id, self._who)

    def exists(self) -> bool:
        """Return whether the job is in this staging store."""
        try:
            self.store.stat(store_keys.job_key(self.job_id))
        except KeyMissing:
            return False
        return True

    def is_there(self) -> bool:
        """Return whether the job exists, also True if job.json cannot be looked at.

        Reading it then raises the error.
        """
        try:
            return self.exists()
        except StoreError as error:
            if error.transient:
                raise
            return True

    def record(self, sha256: str | None = None) -> JobRecord:
        """Return what was asked for, from job.json.

        Raise JobNotFound, CorruptPart (also if it has another SHA-256).
        """
        try:
            values = self._read(store_keys.job_key(self.job_id), _record, sha256)
        except KeyMissing as error:
            raise JobNotFound(
                f"No job {self.job_id} is in the staging store {self.store.url}; name another store, or list its jobs."
            ) from error
        if values["job_id"] != self.job_id:
            raise CorruptPart(
                f"job.json belongs to another job, {values['job_id']}; restore it from a backup. [job={self.job_id}]"
            )
        return JobRecord(**{**values, "kind": JobKind(values["kind"])})

    def require_idle(self) -> None:
        """Raise AttemptSuperseded if another process certainly works on an open attempt, as far as is known here."""
        attempt = max(self.attempts(), default=0)
        if attempt and attempt not in self.closed_attempts():
            claim = self.claimed(attempt)
            if is_alive(claim) and claim.get("pid") != os.getpid():
                raise AttemptSuperseded(
                    f"Attempt {attempt} of this job is running in process {claim['pid']}, started "
                    f"{claim.get('claimed_at')} by {claim.get('claimed_by')}; wait until it has ended. "
                    f"[job={self.job_id}]"
                )

    def claimed(self, attempt: int) -> dict[str, Any]:
        """Return who claimed the attempt, when, and with which details. Raise KeyMissing, CorruptPart."""
        return self._read(store_keys.attempt_key(self.job_id, attempt), json_fields.CLAIM)

    def claimed_at(self, attempt: int) -> datetime:
        """Return when the attempt was claimed, in UTC. Raise KeyMissing, CorruptPart."""
        claim = self.claimed(attempt)
        try:
            return datetime.fromisoformat(claim["claimed_at"])
        except KeyError as error:
            where = self.store.locate(store_keys.attempt_key(self.job_id, attempt))
            raise CorruptPart(f"A claim lacks the time of its making; restore it from a backup. [{where}]") from error

    def require_current(self, attempt: int) -> None:
        """Raise AttemptSuperseded if a later attempt was claimed, so that a stale process stops."""
        try:
            self.store.stat(store_keys.attempt_key(self.job_id, attempt + 1))
        except KeyMissing:
            return
        raise AttemptSuperseded(
            f"Another process started attempt {attempt + 1} of this job, so this process stops. [job={self.job_id}]"
        )

    def require_open(self, attempt: int) -> None:
        """Raise AttemptSuperseded if the attempt is closed: the files of its result are not written again."""
        try:
            self.store.stat(store_keys.result_key(self.job_id, attempt))
        except KeyMissing:
            return
        raise AttemptSuperseded(f"Attempt {attempt} was closed by another process. [job={self.job_id}]")

    def attempts(self) -> list[int]:
        """Return the numbers of all attempts that were claimed, in order."""
        return self._numbers("attempts/", _ATTEMPT)

    def closed_attempts(self) -> list[int]:
        """Return the numbers of the attempts that have a result, in order; the last is the present one."""
        return self._numbers("reports/", _RESULT)

    def _numbers(self, folder: str, pattern: re.Pattern[str]) -> list[int]:
        keys = self.store.list(f"{self.job_id}/{folder}")
        found = (match[1] for blob in keys if (match := pattern.search(blob.key)))
        digits, most = (5, store_keys.MAX_PART) if pattern is _PART else (4, store_keys.MAX_ATTEMPT)
        return sorted(number for text in found if (number := store_keys.numbered(text, digits, most)) is not None)

    def result(self, attempt: int | None = None, sha256: str | None = None) -> TaskResult | None:
        """Return the result of that attempt, or of the last closed one; None if there is none yet.

        Raise CorruptPart, also if `sha256` is given and the file has another.
        """
        if attempt is None:
            closed = self.closed_attempts()
            if not closed:
                return None
            attempt = closed[-1]
        try:
            values = self._read(store_keys.result_key(self.job_id, attempt), _result_of(self.job_id, attempt), sha256)
        except KeyMissing:
            return None
        return TaskResult.from_json(values, self.store)

    def present(self) -> TaskResult | None:
        """Return the result of the last closed attempt. Raise ActionNotAllowed if a later attempt is open."""
        result = self.result()
        last = max(self.attempts(), default=0)
        if result is not None and last > result.attempt:
            raise ActionNotAllowed(
                f"Attempt {last} of this job has not ended; wait for it, or retry if its process has ended. "
                f"[job={self.job_id}]"
            )
        return result

    def parts(self, folder: str, attempt: int) -> list[int]:
        """Return the numbers of an attempt's parts in ``inventory`` or ``ledger``, in order."""
        return self._numbers(f"{folder}/{attempt:04d}/", _PART)

    def moves_data(self) -> bool:
        """Return whether the last attempt, if it runs, moves data.

        A collection does once it found items, an export always.
        """
        attempts = self.attempts()
        if not attempts:
            return False
        return "manifest" in self.claimed(attempts[-1]) or bool(self.parts("inventory", attempts[-1]))

    def end_inventory(self, attempt: int, totals: dict[str, Any]) -> None:
        """Mark the inventory as complete, with its totals."""
        self.store.create(store_keys.inventory_end_key(self.job_id, attempt), json_bytes(totals))

    def inventory_totals(self, attempt: int) -> dict[str, Any] | None:
        """Return the totals of a complete inventory; None if the listing did not come to its end."""
        try:
            return self._read(store_keys.inventory_end_key(self.job_id, attempt), json_fields.INVENTORY_END)
        except KeyMissing:
            return None

    def _read(self, key: str, check: Check, sha256: str | None = None) -> dict[str, Any]:
        return read_json(self.store, key, check, sha256)


def _result_of(job_id: str, attempt: int) -> Check:
    return json_fields.same({"job_id": job_id, "attempt": attempt}, json_fields.RESULT)


def _record(values: Any, name: str) -> None:
    """Check job.json by `json_fields.RECORD`, unless a later version wrote it, whose fields are not known here."""
    version = values.get("layout_version", 0)
    if isinstance(version, int) and version > store_keys.LAYOUT_VERSION:
        raise BadValue(
            f"it was written by a newer prefect-collect (layout {version}, this one knows "
            f"{store_keys.LAYOUT_VERSION}); upgrade prefect-collect"
        )
    json_fields.RECORD(values, name)


def job_folders(store: Store) -> Iterator[JobFolder]:
    """Yield the folders of all jobs in a staging store, by id, even if a job.json cannot be looked at."""
    for name in store.folders():
        folder = JobFolder(store, name)
        if folder.is_there():
            yield folder


def json_bytes(values: dict[str, Any]) -> bytes:
    """Return a JSON document of the job as it is written: indented, sorted, with a line break at its end."""
    return json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogateescape") + b"\n"
