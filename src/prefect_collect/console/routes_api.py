"""The data of the pages as JSON, for programs: send ``Authorization: Bearer TOKEN``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query

from prefect_collect import jobs
from prefect_collect.console.api_models import JobDetails, JobList, Refusal, job_details, job_list
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import job_sheet
from prefect_collect.console.job_steps import Step, take_step
from prefect_collect.console.job_table import TableQuery, places, table_page
from prefect_collect.console.tiles import tiles
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup

MOST_ROWS: Final = 1000
"""The most jobs of a page."""

REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Refusal, "description": "The body is not JSON."},
    401: {"model": Refusal, "description": "No token was sent, or it is not accepted."},
    403: {"model": Refusal, "description": "The token's role does not allow it."},
    404: {"model": Refusal, "description": "There is no such job or source."},
    409: {"model": Refusal, "description": "The job's status does not offer the step, or no process would run it."},
    422: {"model": Refusal, "description": "A parameter cannot be used."},
    502: {"model": Refusal, "description": "The staging store refuses, its files were changed, or Prefect refuses."},
    503: {"model": Refusal, "description": "Prefect's server, or the staging store, does not answer."},
}
"""The answers of every route besides its own."""

JobId = Annotated[str, Path(description="The job's id.", max_length=100)]


def api_routes(index: JobIndex, evidence: Evidence) -> APIRouter:
    """Return the routes of the API."""
    routes = APIRouter(prefix="/api", responses=REFUSED)

    @routes.get("/jobs")
    def list_jobs(
        status: JobStatus | SnapshotGroup | None = None,
        kind: JobKind | None = None,
        source: Annotated[str, Query(description="The whole name of a data source.")] = "",
        text: Annotated[
            str, Query(description="A part of the name, source, custodian, message or id, in any case.")
        ] = "",
        since: Annotated[str, Query(description="The first day of creation, as 2026-01-31 (UTC).")] = "",
        until: Annotated[str, Query(description="The last day of creation, which is included.")] = "",
        sort: Annotated[str, Query(description="A column; after '-', the largest value comes first.")] = "-created",
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=MOST_ROWS, description="The most jobs of a page.")] = 100,
    ) -> JobList:
        """List jobs, the newest first."""
        asked = {"status": status, "kind": kind, "source": source, "text": text, "since": since, "until": until}
        query = TableQuery.of({**{name: str(value or "") for name, value in asked.items()}, "sort": sort})
        rows = index.rows().values()
        return job_list(table_page(rows, query.on_page(page), size), places(rows))

    @routes.get("/snapshot")
    def snapshot() -> dict[SnapshotGroup | Literal["Partially completed"], int]:
        """Return the number of jobs in each group of the Collections Snapshot, and of those Partially completed."""
        shown = tiles(index.rows().values())
        counts: dict[SnapshotGroup | Literal["Partially completed"], int] = {tile.group: tile.jobs for tile in shown}
        return counts | {"Partially completed": sum(tile.partially for tile in shown)}

    @routes.get("/jobs/{job_id}")
    def get_job(job_id: JobId) -> JobDetails:
        """Return a job with its progress, errors, attempts, related jobs and custody log."""
        return job_details(job_sheet(job_id))

    @routes.post("/jobs/{job_id}/{step}")
    def step(job_id: JobId, step: Step) -> JobDetails:
        """Start, cancel or retry a job, and return its new state. A worker (`prefect-collect serve`) runs it."""
        take_step(job_id, step)
        index.expire()
        return job_details(job_sheet(job_id))

    @routes.delete("/jobs/{job_id}", status_code=204)
    def delete(job_id: JobId) -> None:
        """Delete a job: its run and its evidence, except for the last entry of its custody log.

        Exports that await the collection are deleted with it.
        """
        index.expire(job_id, *jobs.delete(job_id))
        evidence.forget(job_id)

    return routes
