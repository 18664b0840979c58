"""Gathers what a chain of custody document says of a job, from files that the job's custody log vouches for.

Only what was there when the attempt ended is said: the log up to that end, and no clock is read. So the document of an
attempt is always the same, whatever is done to the job later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from prefect_collect.documents.account import (
    FORM,
    MOST_ASKED,
    MOST_CODES,
    MOST_EVENTS,
    MOST_WARNINGS,
    PAGES,
    clipped,
    meanings_of,
    tool_versions,
)
from prefect_collect.errors import CorruptPart
from prefect_collect.formats.asked import asked_fields
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import Vouched
from prefect_collect.job_folder.custody_log import Entry
from prefect_collect.job_folder.folder import CUSTODIAN, ESTIMATE, JobRecord
from prefect_collect.job_folder.result import TaskResult

_NOT_ASKED = (CUSTODIAN, ESTIMATE)
"""Options that stand elsewhere in the document, or were not asked for."""


def account_of_job(vouched: Vouched, record: JobRecord, result: TaskResult) -> dict[str, Any]:
    """Return the account of an attempt that has ended; `record` and `result` are as the log vouches for them.

    Raise CorruptPart if the log does not have the attempt's end.
    """
    entries = vouched.entries_to_end(result.attempt)
    if not entries:
        raise CorruptPart(
            f"The custody log does not have the end of attempt {result.attempt}, so that there is no evidence for a "
            f"document. [job={record.job_id}]"
        )
    collection = result.collection or {}
    return {
        "form": FORM,
        "pages": PAGES,
        "meanings": meanings_of(code for codes in result.outcomes.values() for code in codes),
        "tools": tool_versions(),
        "job": _job(record),
        "result": _result(result),
        "custody": _custody(entries, vouched.late(result.attempt)),
        "files": _files(vouched, record.job_id, result.attempt),
        "package": None,
        "export": None
        if result.collection is None
        else {
            "collection": str(collection.get("job_id", "")),
            "package": result.package and clipped(result.package),
            "fingerprint": result.fingerprint,
        },
    }


def _job(record: JobRecord) -> dict[str, Any]:
    options = {name: value for name, value in record.options.items() if name not in _NOT_ASKED}
    fields = [(f"{name}: {field}" if field else name, value) for name, field, value in asked_fields(options)]
    settings = [(f"source: {name}", value) for name, value in sorted(record.source_settings.items())]
    asked = [
        [clipped(name), clipped(_plain(value))]
        for name, value in [*sorted(record.query.items()), *settings, *sorted(fields, key=itemgetter(0))]
        if value not in (None, "", [], {})
    ]
    source = [
        [name, clipped(str(record.source[name]))] for name in ("name", "type", "location") if name in record.source
    ]
    return {
        "id": record.job_id,
        "kind": str(record.kind),
        "name": clipped(record.name),
        "source": source,
        "custodian": clipped(record.custodian),
        "created_by": clipped(record.created_by),
        "created_at": record.created_at,
        "asked": asked[:MOST_ASKED],
        "asked_left": max(0, len(asked) - MOST_ASKED),
    }


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _result(result: TaskResult) -> dict[str, Any]:
    listed = {code for codes in result.outcomes.values() for code in codes}
    whole = sorted(code for code, items in result.codes.items() if not items and code not in listed)
    meanings = meanings_of(whole, whole=True)
    outcomes = {outcome: dict([*codes.items()][:MOST_CODES]) for outcome, codes in result.outcomes.items() if codes}
    counts = asdict(result.counts)
    del counts["elsewhere"]  # the codes of what was not attempted say it, also to readers of earlier versions
    return {
        "attempt": result.attempt,
        "status": str(result.status),
        "started": result.started.isoformat(),
        "ended": result.ended.isoformat(),
        **counts,
        "outcomes": outcomes,
        "job_codes": {code: meanings.get(code, "") for code in whole},
        "warnings": [clipped(warning) for warning in (*result.notes, *result.warnings)[:MOST_WARNINGS]],
        "listing_complete": result.listing_complete,
    }


def _custody(entries: Sequence[Entry], late: str) -> dict[str, Any]:
    shown = entries[:MOST_EVENTS]
    if len(entries) > len(shown):
        half = MOST_EVENTS // 2
        shown = [*entries[:half], *entries[-half:]]
    return {
        "entries": len(entries),
        "sha256": entries[-1].sha256,
        "late": clipped(late),
        "events_left": len(entries) - len(shown),
        "events": [
            [entry.number, entry.at, clipped(entry.who), clipped(_action(entry), 60), _attempt(entry), entry.sha256]
            for entry in shown
        ],
    }


def _action(entry: Entry) -> str:
    """Return what was done, and of a retry the settings that it was asked for with."""
    settings = entry.details.get("settings")
    if not isinstance(settings, Mapping) or not settings:
        return entry.action
    return f"{entry.action} ({', '.join(f'{name} {_plain(value)}' for name, value in settings.items())})"


def _attempt(entry: Entry) -> int | None:
    attempt = entry.details.get("attempt")
    return attempt if type(attempt) is int and attempt > 0 else None


def _files(vouched: Vouched, job_id: str, attempt: int) -> list[list[str]]:
    return [[name, sha256] for name in _names(job_id, attempt) if (sha256 := vouched.sha256(name)) is not None]


def _names(job_id: str, attempt: int) -> Iterator[str]:
    """Yield the names, in the job's folder, of the files whose hashes a document states."""
    yield "job.json"
    for key in (
        store_keys.manifest_key(job_id, attempt),
        store_keys.report_key(job_id, attempt, "errors.parquet"),
        store_keys.result_key(job_id, attempt),
        store_keys.evidence_key(job_id, attempt),
    ):
        yield key.removeprefix(f"{job_id}/")
