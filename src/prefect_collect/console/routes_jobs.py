"""The table of jobs, the side sheet of a job, and its next steps."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from prefect_collect import jobs
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import JobSheet, job_sheet
from prefect_collect.console.job_steps import Step, take_step
from prefect_collect.console.job_table import TableQuery, places, table_page
from prefect_collect.console.pages import Pages, is_fragment
from prefect_collect.console.source_queues import MOST_QUEUES, source_queues
from prefect_collect.console.tiles import tiles
from prefect_collect.statuses import JobKind, JobStatus


def job_routes(index: JobIndex, pages: Pages, evidence: Evidence) -> APIRouter:
    """Return the routes of the jobs' pages."""
    routes = APIRouter(include_in_schema=False)

    def table(request: Request, sheet: JobSheet | None = None, status: int = 200) -> Response:
        query = TableQuery.of(request.query_params)
        rows = index.rows()
        queues = source_queues(rows.values(), index.lifecycles())
        values: dict[str, Any] = {
            "query": query,
            "complete": index.is_complete,
            "table": table_page(rows.values(), query),
            "places": places(rows.values()),
            "tiles": tiles(rows.values()),
            "queues": queues[:MOST_QUEUES],
            "more_queues": max(0, len(queues) - MOST_QUEUES),
            "sources": sorted({row.source for row in rows.values() if row.source}, key=str.casefold),
            "kinds": list(JobKind),
            "statuses": list(JobStatus),
        }
        if not is_fragment(request):
            return pages.answer(request, "jobs.html", status=status, sheet=sheet, **values)
        return if_changed(request, "_jobs.html", **values)

    def if_changed(request: Request, template: str, **values: Any) -> Response:
        """Return the fragment; nothing if it is shown already: what is replaced loses a click that is being made."""
        content = pages.text(template, session=request.state.session, **values)
        digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]
        if request.headers.get("X-Shown") == digest:
            return Response(status_code=204)
        return HTMLResponse(content, headers={"X-Shown": digest})

    @routes.get("/")
    def jobs_page(request: Request) -> Response:
        """Show the table of jobs."""
        return table(request)

    @routes.get("/jobs/{job_id}")
    def job_page(request: Request, job_id: str) -> Response:
        """Show a job: its side sheet beside the table."""
        sheet = job_sheet(job_id)
        if is_fragment(request):
            return if_changed(request, "_sheet.html", sheet=sheet)
        return table(request, sheet)

    @routes.get("/jobs/{job_id}/steps")
    def steps(request: Request, job_id: str) -> Response:
        """Show the next steps of a job as a menu."""
        return pages.answer(request, "_steps.html", job=jobs.get(job_id))

    @routes.post("/jobs/{job_id}/{step}")
    def take(request: Request, job_id: str, step: str) -> Response:
        """Take a step with a job; show its sheet if the step was taken there, else what became of it."""
        if step not in list(Step):
            raise HTTPException(404, "There is no such step.")
        job = take_step(job_id, Step(step))
        index.expire()
        changed = {"HX-Trigger": "jobs-changed"}
        if request.headers.get("HX-Target") == "sheet":
            return pages.answer(request, "_sheet.html", sheet=job_sheet(job_id), headers=changed)
        message = f"{step.capitalize()}: {job.name} is {job.status}."
        return pages.answer(request, "_message.html", message=message, headers=changed)

    @routes.delete("/jobs/{job_id}")
    def delete(request: Request, job_id: str) -> Response:
        """Delete a job: its run and its evidence, but for the last entry of its log."""
        jobs.delete(job_id)
        index.expire(deleted=job_id)
        evidence.forget(job_id)
        message = f"The job was deleted. Its packages are where they were delivered. [job={job_id}]"
        return pages.answer(
            request,
            "_message.html",
            message=message,
            headers={"HX-Trigger": "jobs-changed, sheet-closed, dialog-closed"},
        )

    return routes
