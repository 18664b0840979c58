"""What the side sheet shows of one job, read from Prefect and the staging store when it is opened."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from prefect_collect import jobs
from prefect_collect.codes import CODES
from prefect_collect.console.asked_for import asked_for
from prefect_collect.console.recent import Recent
from prefect_collect.errors import CollectError, JobNotFound
from prefect_collect.flows.auto_exports import exports_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.estimates import estimate_of
from prefect_collect.job_folder.exports_made import ExportMade, exports_made, exports_of_folder
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import CodeCount, TaskResult
from prefect_collect.pages.expected import expected_rows
from prefect_collect.runs.queries import status_of
from prefect_collect.statuses import JobKind, JobStatus, definition, guidance

MOST_ENTRIES: Final = 200
"""The most entries of the custody log that the sheet shows, the newest ones."""


_MOST_LOGS: Final = 100
_LOGS: Final[Recent[tuple[str, str], tuple[custody_log.Entry, ...]]] = Recent(_MOST_LOGS)
"""The custody logs that were shown last: each look at an item is an entry, and a sheet is read again every 2 s."""

_LOCK: Final = threading.Lock()


@dataclass(frozen=True)
class ErrorGroup:
    """The items that have an outcome with one error code.

    Attributes:
        outcome: "failed", "skipped" or "not attempted"; "" in jobs of versions that recorded no outcome.
        code: The code.
        items: The number of items; 0 if only the job as a whole has the code.
        meaning: What the code means.
        action: What to do.
        who: Who must act: a word of the error report's column.
    """

    outcome: str
    code: str
    items: int
    meaning: str
    action: str
    who: str


@dataclass(frozen=True)
class ProgressShown:
    """The progress of a job in progress, as Prefect has it: the percentage, and a line of text."""

    percent: float
    text: str
    at: datetime | None


@dataclass(frozen=True)
class Related:
    """A job that belongs to this one: an export of a collection, or the collection of an export.

    `note` says what the export lacks that a later attempt of its collection took; "" if nothing.
    """

    job_id: str
    name: str
    status: str
    note: str = ""


@dataclass(frozen=True)
class JobSheet:
    """The content of a job's side sheet.

    Attributes:
        job: The job.
        definition: The specification's definition of its status; "" without a status.
        guidance: The specification's advice on its status; "" if it has none.
        place: Its place in the queue; None if it is not queued.
        progress: Its progress; None if it is not in progress.
        errors: What did not succeed, by outcome and error code: what failed first.
        attempts: The results of the attempts that ended, the newest first.
        related: Its exports, or its collection.
        custody: The newest entries of its custody log, the newest first.
        custody_total: The number of entries that can be read.
        asked: What was asked for when the job was made, as titles and values.
        expected: What was expected of a collection beside what came: titles, estimates, actual values.
        problems: What could not be read, in sentences; the rest is shown.
    """

    job: jobs.Job
    definition: str = ""
    guidance: str = ""
    place: jobs.Place | None = None
    progress: ProgressShown | None = None
    errors: tuple[ErrorGroup, ...] = ()
    attempts: tuple[TaskResult, ...] = ()
    related: tuple[Related, ...] = ()
    custody: tuple[custody_log.Entry, ...] = ()
    custody_total: int = 0
    asked: tuple[tuple[str, str], ...] = ()
    expected: tuple[tuple[str, str, str], ...] = ()
    problems: tuple[str, ...] = field(default_factory=tuple)

    @property
    def result(self) -> TaskResult | None:
        """The result of the last attempt that ended."""
        return self.attempts[0] if self.attempts else None


def job_sheet(job_id: str) -> JobSheet:
    """Return the sheet of a job. Raise JobNotFound if there is none, PrefectUnavailable, StoreError."""
    job = jobs.get(job_id)
    problems: list[str] = []
    entries: list[custody_log.Entry] = []
    attempts: list[TaskResult] = []
    with _collected(problems):
        attempts = job.attempts
    with _collected(problems):
        if job.place is not None:
            chain = _chain(job.place)
            entries = chain.entries
            problems += [str(problem) for problem in chain.problems]
    asked: tuple[tuple[str, str], ...] = ()
    expected: list[tuple[str, str, str]] = []
    with _collected(problems):
        if job.place is not None:
            record = job.place.record()
            asked = asked_for(record)
            estimate = estimate_of(record)
            expected = [] if estimate is None else expected_rows(estimate, attempts[-1] if attempts else None)
    notes: dict[str, str] = {}
    with _collected(problems):
        notes = _notes(job, entries, attempts)
    place = None
    with _collected(problems):
        place = jobs.place_in_queue(job)
    return JobSheet(
        job=job,
        definition=definition(job.kind, job.status, has_report=bool(attempts)) if job.status else "",
        guidance=guidance(job.kind, job.status, has_report=bool(attempts)) if job.status else "",
        place=place,
        progress=_progress(job),
        errors=_errors(attempts[-1].code_counts if attempts else []),
        attempts=tuple(reversed(attempts)),
        related=tuple(_related(job, notes)),
        custody=tuple(reversed(entries[-MOST_ENTRIES:])),
        custody_total=len(entries),
        asked=asked,
        expected=tuple(expected),
        problems=tuple(problems),
    )


def _chain(folder: JobFolder) -> custody_log.Chain:
    """Return the checked log of a job; of one that was looked at before, only the new entries are read."""
    key = folder.store.url, folder.job_id
    with _LOCK:
        known = _LOGS.get(key) or ()
    chain = custody_log.check_chain(folder, known)
    with _LOCK:
        if chain.problems:
            _LOGS.drop(key)
        else:
            _LOGS.put(key, tuple(chain.entries))
    return chain


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    """Add the message of an error to the problems, as the rest of the sheet can be shown without it."""
    try:
        yield
    except JobNotFound:
        pass
    except CollectError as error:
        problems.append(str(error))


def _progress(job: jobs.Job) -> ProgressShown | None:
    if job.status is not JobStatus.IN_PROGRESS:
        return None
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[f"progress-{job.id}"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
    if not found:
        return None
    percent = float(found[0].data) if isinstance(found[0].data, int | float) else 0.0
    return ProgressShown(percent, found[0].description or "", found[0].updated)


def _errors(counts: Iterable[CodeCount]) -> tuple[ErrorGroup, ...]:
    return tuple(
        ErrorGroup(
            one.outcome,
            one.code,
            one.items,
            one.meaning,
            one.action,
            CODES[one.code].who.value if one.code in CODES else "",
        )
        for one in counts
    )


def _notes(job: jobs.Job, entries: list[custody_log.Entry], attempts: list[TaskResult]) -> dict[str, str]:
    """Return by id what the exports of a collection lack; of an export, what it lacks itself."""
    if job.kind is JobKind.COLLECTION:
        return {one.job_id: one.note for one in exports_made(entries, attempts)}
    collection = attempts[-1].collection if attempts else None
    if job.place is None or collection is None:
        return {}
    made = exports_of_collection(job.place.beside(str(collection["job_id"])))
    return {one.job_id: one.note for one in made if one.job_id == job.id}


def exports_of_collection(folder: JobFolder) -> list[ExportMade]:
    """Return the exports of the collection in a job folder, as `exports_of_folder`; its log is kept as the sheets' are.

    Raise StoreError, CorruptPart.
    """
    return exports_of_folder(folder, entries=_chain(folder).entries)


def _related(job: jobs.Job, notes: Mapping[str, str]) -> Iterator[Related]:
    if job.kind is JobKind.COLLECTION:
        with get_client(sync_client=True) as client:
            for run in exports_of(client, UUID(job.id)):
                status = str(status_of(JobKind.EXPORT, run) or "unknown")
                yield Related(str(run.id), run.name, status, notes.get(str(run.id), ""))
        return
    collection = str(job.parameters.get("collection_job") or "")
    if not collection:
        return
    note = notes.get(job.id, "")
    try:
        found = jobs.get(collection)
    except CollectError:
        yield Related(collection, collection, "not found", note)
    else:
        yield Related(found.id, found.name, str(found.status or "unknown"), note)
