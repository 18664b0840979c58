"""The JSON documents of the API, as OpenAPI describes them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from prefect_collect.console.job_row import JobRow
from prefect_collect.console.job_sheet import JobSheet
from prefect_collect.console.job_table import TablePage
from prefect_collect.statuses import JobKind, JobStatus, NextStep


class JobInList(BaseModel):
    """A job in the list of jobs."""

    job_id: str = Field(description="The job's id.")
    kind: JobKind
    name: str
    source: str = Field(description="The data source's name; empty if it is not known yet.")
    custodian: str | None = Field(description="Whose data is collected; null if it is not known.")
    status: JobStatus | None = Field(description="Null if the run's state in Prefect stands for no status.")
    message: str
    next_steps: list[NextStep]
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    items: int = Field(description="Items that the job holds or has delivered: so far, or after its last attempt.")
    bytes: int
    success_rate: float | None = Field(description="Percent of its items, in its last attempt; null if not known.")
    progress: float | None = Field(description="Percent of its items that are done; null if it is not in progress.")
    place: int | None = Field(description="The place in the queue of its source, from 1; null if it is not queued.")


class JobList(BaseModel):
    """A page of jobs."""

    jobs: list[JobInList]
    total: int = Field(description="The number of jobs on all pages.")
    pages: int
    page: int


class ErrorInJob(BaseModel):
    """The items that have an outcome with one error code."""

    outcome: str = Field(
        description='"failed", "skipped" or "not attempted"; empty in jobs of versions that recorded no outcome.'
    )
    code: str
    items: int = Field(description="0 if only the job as a whole has the code.")
    meaning: str
    action: str = Field(description="What to do.")
    who_must_act: str


class ProgressOfJob(BaseModel):
    """The progress of a job in progress."""

    percent: float
    text: str
    at: datetime | None


class CustodyEntry(BaseModel):
    """An entry of a job's custody log."""

    number: int
    at: str
    who: str
    action: str
    details: dict[str, Any]
    sha256: str


class JobDetails(BaseModel):
    """A job with all that its side sheet shows."""

    job: dict[str, Any] = Field(description="The job, as `prefect-collect show --json` prints it.")
    place: int | None
    reason: str | None = Field(description="Why it is queued; null if it is not.")
    progress: ProgressOfJob | None
    errors: list[ErrorInJob]
    attempts: list[dict[str, Any]] = Field(description="The results of the attempts that ended, the newest first.")
    related: list[dict[str, str]] = Field(
        description="The exports of a collection, or the collection of an export; `note`: what the export lacks of it."
    )
    custody: list[CustodyEntry] = Field(description="The newest entries of the custody log, the newest first.")
    problems: list[str] = Field(description="What could not be read, in sentences.")


class Refusal(BaseModel):
    """Why a request was not carried out."""

    detail: str


def job_in_list(row: JobRow, place: int | None) -> JobInList:
    """Return a row of the table as JSON's."""
    return JobInList(
        job_id=row.id,
        kind=row.kind,
        name=row.name,
        source=row.source,
        custodian=row.custodian or None,
        success_rate=row.rate,
        progress=row.progress,
        status=row.status,
        message=row.message,
        next_steps=list(row.next_steps),
        created=row.created,
        started=row.started,
        ended=row.ended,
        items=row.items,
        bytes=row.bytes,
        place=place,
    )


def job_list(table: TablePage, places: dict[str, int]) -> JobList:
    """Return a page of the table as JSON's."""
    rows = [job_in_list(row, places.get(row.id)) for row in table.rows]
    return JobList(jobs=rows, total=table.total, pages=table.pages, page=table.page)


def job_details(sheet: JobSheet) -> JobDetails:
    """Return a job's sheet as JSON's."""
    place, progress = sheet.place, sheet.progress
    return JobDetails(
        job=sheet.job.to_json(),
        place=None if place is None else place.before + 1,
        reason=None if place is None else place.reason,
        progress=None
        if progress is None
        else ProgressOfJob(percent=progress.percent, text=progress.text, at=progress.at),
        errors=[
            ErrorInJob(
                outcome=one.outcome, code=one.code, items=one.items, meaning=one.meaning, action=one.action,
                who_must_act=one.who,
            )
            for one in sheet.errors
        ],
        attempts=[result.to_json() for result in sheet.attempts],
        related=[asdict(one) for one in sheet.related],
        custody=[
            CustodyEntry(
                number=one.number, at=one.at, who=one.who, action=one.action, details=dict(one.details),
                sha256=one.sha256,
            )
            for one in sheet.custody
        ],
        problems=list(sheet.problems),
    )  # fmt: skip
