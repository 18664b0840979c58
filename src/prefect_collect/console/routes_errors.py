"""The error report of a job: as a table, as files, and as the choice of what a retry works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import Response

from prefect_collect import jobs
from prefect_collect.console.attachments import saved
from prefect_collect.console.item_query import OUTCOMES, SUCCEEDED, ItemQuery
from prefect_collect.console.item_tables import Evidence, codes_of
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_steps import retry_rows
from prefect_collect.console.pages import Pages
from prefect_collect.errors import JobNotFound
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.custody_events import DOWNLOADED_REPORT
from prefect_collect.statuses import JobKind, NextStep

_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "csv": ("errors.csv", "text/csv; charset=utf-8"),
    "parquet": ("errors.parquet", "application/vnd.apache.parquet"),
}


def error_routes(evidence: Evidence, index: JobIndex, pages: Pages) -> APIRouter:
    """Return the routes of the error report's pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs/{job_id}/errors")
    def errors(request: Request, job_id: str) -> Response:
        """Show a page of the error report."""
        job = jobs.get(job_id)
        query = ItemQuery.of(request.query_params)
        try:
            tables = evidence.of(job, query.attempt_number)
        except JobNotFound:
            if query.attempt:
                raise
            return pages.answer(request, "no_errors.html", job=job)
        is_last = tables.files.attempt == max(job.folder.closed_attempts())
        values: dict[str, Any] = {
            "job": job,
            "query": query,
            "table": tables.errors(query),
            "files": tables.files,
            "codes": codes_of(tables.files),
            "outcomes": [outcome for outcome in OUTCOMES if outcome != SUCCEEDED],
            "can_retry": job.kind is JobKind.COLLECTION
            and NextStep.RETRY in job.next_steps
            and is_last
            and not job.only_by_command,
        }
        return pages.answer(request, "errors.html", **values)

    @routes.get("/jobs/{job_id}/errors.{form}")
    def report(request: Request, job_id: str, form: str) -> Response:
        """Send the error report as a file, and enter that into the custody log."""
        if form not in _FILES:
            raise HTTPException(404, "There is no such report.")
        name, media_type = _FILES[form]
        files = evidence.of(jobs.get(job_id), ItemQuery.of(request.query_params).attempt_number).files
        copy = files.report(name)
        details = {"attempt": files.attempt, "report": name, "sha256": copy.sha256}
        custody_log.append(files.folder, DOWNLOADED_REPORT, details)
        shown = f"{job_id}-errors-{files.attempt:04d}.{form}"
        return saved(copy.pieces(), name=shown, size=copy.size, media_type=media_type)

    @routes.post("/jobs/{job_id}/errors/retry")
    def retry(
        job_id: str,
        attempt: Annotated[int, Form(ge=1)],
        row: Annotated[list[int] | None, Form()] = None,
        every: Annotated[bool, Form()] = False,
        query: Annotated[str, Form()] = "",
    ) -> Response:
        """Retry the chosen items; with `every`, all that match the parameters of the table's address."""
        tables = evidence.of(jobs.get(job_id), attempt)
        rows = tables.error_rows(ItemQuery.of(dict(parse_qsl(query)))) if every else row or []
        retry_rows(job_id, tables, rows)
        index.expire()
        return Response(status_code=204, headers={"HX-Redirect": f"{pages.root_path}/jobs/{job_id}"})

    return routes
