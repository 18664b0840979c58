"""The items and errors of a job as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from prefect_collect import jobs
from prefect_collect.console.api_models import JobDetails, job_details
from prefect_collect.console.item_query import ItemQuery
from prefect_collect.console.item_tables import Evidence, ItemPage, ItemRow
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import job_sheet
from prefect_collect.console.job_steps import retry_rows
from prefect_collect.console.routes_api import REFUSED, JobId
from prefect_collect.console.routes_items import collection_of
from prefect_collect.job_folder.result import Outcome


class ItemInList(BaseModel):
    """An item of a job."""

    number: int = Field(description="Its number in the addresses of its page, content and file.")
    path: str = Field(description="The source's path; empty for a row about the job as a whole.")
    outcome: Outcome
    size: int | None
    at: datetime | None = Field(description="When it was collected, or failed last.")
    row: int | None = Field(description="Its row in the error report, from 0; null if it succeeded.")
    code: str = Field(description="The error code; empty if it succeeded.")
    message: str
    suggested_action: str
    who_must_act: str
    tries: int | None = Field(description="How often it was tried; null if it succeeded.")


class ItemList(BaseModel):
    """A page of items."""

    attempt: int = Field(description="The attempt after which the items are listed.")
    items: list[ItemInList]
    total: int = Field(description="The number of items on all pages.")
    pages: int
    page: int


class Selection(BaseModel):
    """Items of a job's last error report to retry."""

    attempt: int = Field(ge=1, le=32_767, description="The attempt whose error report is meant: the last.")
    rows: list[Annotated[int, Field(ge=0, le=(1 << 31) - 1)]] = Field(
        min_length=1, max_length=100_000, description="Rows of the error report, as in the list of errors."
    )


Path = Annotated[str, Query(description="A part of the path, in any case.")]
Code = Annotated[str, Query(description="An error code.")]
Size = Annotated[str, Query(description="A size, as 500, 1.5 MB or 2 GiB (units are binary).")]
Day = Annotated[str, Query(description="A day, as 2026-01-31 (UTC).")]
Attempt = Annotated[int | None, Query(ge=1, le=32_767, description="An attempt that ended; by default the last.")]
Page = Annotated[int, Query(ge=1, le=1_000_000)]


def api_item_routes(evidence: Evidence, index: JobIndex) -> APIRouter:
    """Return the routes of items and errors."""
    routes = APIRouter(prefix="/api", responses=REFUSED)

    @routes.get("/jobs/{job_id}/items")
    def list_items(
        job_id: JobId,
        path: Path = "",
        outcome: Outcome | None = None,
        code: Code = "",
        smallest: Size = "",
        largest: Size = "",
        since: Day = "",
        until: Day = "",
        attempt: Attempt = None,
        page: Page = 1,
    ) -> ItemList:
        """List the items of a collection: those held, then those that did not succeed, 50 a page."""
        tables = evidence.of(collection_of(job_id), attempt)
        asked = {"path": path, "outcome": outcome or "", "code": code, "smallest": smallest, "largest": largest}
        query = ItemQuery.of({**asked, "since": since, "until": until, "page": str(page)})
        return _listed(tables.files.attempt, tables.items(query))

    @routes.get("/jobs/{job_id}/errors")
    def list_errors(
        job_id: JobId,
        path: Path = "",
        outcome: Outcome | None = None,
        code: Code = "",
        attempt: Attempt = None,
        page: Page = 1,
    ) -> ItemList:
        """List the rows of a job's error report, 50 a page."""
        tables = evidence.of(jobs.get(job_id), attempt)
        query = ItemQuery.of({"path": path, "outcome": outcome or "", "code": code, "page": str(page)})
        return _listed(tables.files.attempt, tables.errors(query))

    @routes.post("/jobs/{job_id}/errors/retry")
    def retry(job_id: JobId, chosen: Selection) -> JobDetails:
        """Retry only these items, and return the job's new state. A worker (`prefect-collect serve`) runs it."""
        retry_rows(job_id, evidence.of(jobs.get(job_id), chosen.attempt), chosen.rows)
        index.expire()
        return job_details(job_sheet(job_id))

    return routes


def _listed(attempt: int, page: ItemPage) -> ItemList:
    return ItemList(
        attempt=attempt, items=[_item(row) for row in page.rows], total=page.total, pages=page.pages, page=page.page
    )


def _item(row: ItemRow) -> ItemInList:
    return ItemInList.model_validate(
        {
            "number": row.number,
            "path": row.path,
            "outcome": row.outcome,
            "size": row.size,
            "at": row.at,
            "row": row.report,
            "code": row.code,
            "message": row.message,
            "suggested_action": row.action,
            "who_must_act": row.who,
            "tries": row.tries,
        }
    )
