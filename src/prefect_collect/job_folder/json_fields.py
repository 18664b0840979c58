"""The fields of each JSON file of a job, and what their values may be (see `bounded_json`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.codes import CODES
from prefect_collect.job_folder.result import UNSUCCESSFUL
from prefect_collect.job_folder.store_keys import MAX_ATTEMPT
from prefect_collect.parameters import MOST_CUSTODIAN
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from prefect_collect.untrusted.bounded_json import (
    MAX_WHOLE,
    BadValue,
    Check,
    anything,
    fields,
    flag,
    list_of,
    moment,
    one_of,
    or_none,
    table_of,
    text,
    whole,
)

JOB: Final = text(200, r"(?!\.)[^/\0]+")
"""A job's id, which is the name of its folder."""

_ATTEMPT: Final = whole(1, MAX_ATTEMPT)
_SHA256: Final = text(64, "[0-9a-f]{64}")
_COUNTS: Final = fields(
    {name: whole() for name in ("found", "succeeded", "failed", "skipped", "not_attempted", "bytes")},
    {"elsewhere": whole()},
)


def _folder_name(value: Any, name: str) -> None:
    text(255)(value, name)
    if "/" in value or safe_path(value, "") != value:
        raise BadValue(f"{name} is {value[:60]!r}, not the name of a folder")


def _code(value: Any, name: str) -> None:
    text()(value, name)
    if value not in CODES:
        raise BadValue(f"{name} has {value[:60]!r}, which is not an error code of this version")


def _seconds(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadValue(f"{name} is not a number of seconds")


ESTIMATE: Final = fields(
    {"made_at": moment, "items": whole(), "bytes": whole()},
    {
        "unsized": whole(), "failed": whole(), "shortest": or_none(_seconds), "longest": or_none(_seconds),
        "jobs": list_of(JOB),
    },
)  # fmt: skip
"""An estimate, in ``estimates/`` and in job.json."""

RECORD: Final = fields(
    {
        "job_id": JOB, "kind": one_of(JobKind), "name": text(), "source": table_of(or_none(text())),
        "package_base": _folder_name,
    },
    {
        "query": table_of(anything),
        "options": fields(
            {},
            {
                "since": or_none(text()), "since_jobs": or_none(list_of(JOB)), "collection_job": JOB,
                "destination": text(), "destination_block": or_none(text(200)), "format": text(20), "sha512": flag,
                "deduplicate": or_none(text(20)), "duplicates_of": list_of(JOB),
                "custodian": or_none(text(MOST_CUSTODIAN)), "hashes": list_of(text(20)),
                "custodian_folder": or_none(text()), "estimate": ESTIMATE,
                "custodians": list_of(fields({"pattern": text(), "custodian": text(MOST_CUSTODIAN)})),
            },
            open=True,
        ),
        "created_at": lambda value, name: None if value == "" else moment(value, name),
        "created_by": text(),
        "layout_version": whole(),
    },
)  # fmt: skip
"""``job.json``."""

PATTERNS: Final = fields({"include": list_of(text()), "exclude": list_of(text())})
"""A file of a query's patterns."""

CLAIM: Final = fields(
    {},
    {
        "claimed_at": moment, "claimed_by": text(), "host": text(), "machine": text(), "boot": text(),
        "pid_space": text(), "pid": whole(1, (1 << 31) - 1), "pid_started": or_none(whole()), "manifest": _ATTEMPT,
    },
    open=True,
)  # fmt: skip
"""``attempts/0001.json``."""

INVENTORY_END: Final = fields(
    {},
    {
        "items": whole(), "bytes": or_none(whole()), "parts": whole(0, MAX_WHOLE), "listed": flag,
        "resolved": list_of(text()), "ended_at": moment, "proof": text(), "stated_items": or_none(whole()),
        "doubled": fields({"items": whole(), "ids": list_of(text())}), "warnings": list_of(text()),
    },
    open=True,
)  # fmt: skip
"""``inventory.json``."""

STOP_MARK: Final = fields({"code": _code, "message": text()}, {"http_status": or_none(whole(0, 999))})
"""``attempts/0001.stop.json`` and ``attempts/0001.cancel.json``."""

_DUPLICATES: Final = fields(
    {name: whole() for name in ("items", "bytes", "earlier", "withheld", "withheld_bytes")},
    {"deduplicate": or_none(text(20))},
)

RESULT: Final = fields(
    {
        "job_id": JOB, "kind": one_of(JobKind), "attempt": _ATTEMPT, "task_status": one_of(TaskStatus),
        "status": one_of(JobStatus), "counts": _COUNTS, "this_attempt": _COUNTS, "started": moment, "ended": moment,
        "warnings": list_of(text()),
    },
    {
        "estimated_items": or_none(whole()), "estimated_bytes": or_none(whole()), "listing_complete": flag,
        "codes": table_of(whole(), _code), "message": text(),
        "outcomes": fields({}, dict.fromkeys(UNSUCCESSFUL, table_of(whole(1), _code))),
        "relies_on": list_of(JOB), "notes": list_of(text()),
        "receipt": or_none(fields({name: whole() for name in ("kept", "cut_off", "never_started", "kept_bytes")})),
        "collection": or_none(fields({"job_id": JOB, "attempt": _ATTEMPT})),
        "package": or_none(text()), "fingerprint": or_none(_SHA256), "duplicates": or_none(_DUPLICATES),
    },
)  # fmt: skip
"""``result.json``."""

ENTRY: Final = fields(
    {
        "number": whole(1), "at": moment, "who": text(), "action": text(100, "[a-z]+(-[a-z]+)*"),
        "details": table_of(anything), "previous": _SHA256, "seal": _SHA256,
    }
)  # fmt: skip
"""``custody/000001.json``."""

VOUCHED: Final = fields({"attempt": _ATTEMPT}, {"files": table_of(_SHA256, text(1000))}, open=True)
"""The details of an entry about an attempt's end."""

SEGMENTS: Final = table_of(lambda value, name: _segment(value, name))
"""The key-value metadata ``segments`` of a ledger part: size and ETag by name."""


def _segment(value: Any, name: str) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise BadValue(f"{name} is not a size and an ETag")
    whole()(value[0], name)
    text(1000)(value[1], name)


def same(expected: Mapping[str, object], check: Check) -> Check:
    """Return a check that `check` passes, and that the fields have the values which the file's key states."""

    def checked(value: Any, name: str) -> None:
        check(value, name)
        for field, wanted in expected.items():
            if value[field] != wanted:
                raise BadValue(f"{field} is {str(value[field])[:60]!r}, but the key of the file says {wanted!r}")

    return checked
