"""The table of jobs, the side sheet of a job, and its next steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from prefect_collect import jobs
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_row import JobRow
from prefect_collect.console.job_sheet import JobSheet, job_sheet
from prefect_collect.console.job_steps import Step, take_step
from prefect_collect.console.job_table import TableQuery, places, table_page
from prefect_collect.console.pages import Pages, is_fragment, session_of
from prefect_collect.console.source_queues import MOST_QUEUES, source_queues
from prefect_collect.console.tiles import tiles
from prefect_collect.console.watched import Fragments, Watched
from prefect_collect.errors import JobNotFound
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus


def job_routes(index: JobIndex, pages: Pages, evidence: Evidence) -> APIRouter:
    """Return the routes of the jobs' pages."""
    routes = APIRouter(include_in_schema=False)

    sheets = Watched(job_sheet)
    fragments = Fragments()

    def table(request: Request, sheet: JobSheet | None = None, status: int = 200) -> Response:
        query = TableQuery.of(request.query_params)
        shows = index.rows(), index.lifecycles(), index.is_complete
        if is_fragment(request):
            key = query.address()
            return if_changed(request, key, shows, lambda: pages.text("_jobs.html", **shown(query, *shows)))
        return pages.answer(request, "jobs.html", status=status, sheet=sheet, **shown(query, *shows))

    def shown(
        query: TableQuery, rows: Mapping[str, JobRow], lifecycles: Mapping[str, LifecycleStatus], complete: bool
    ) -> dict[str, Any]:
        queues = source_queues(rows.values(), lifecycles)
        return {
            "query": query,
            "complete": complete,
            "table": table_page(rows.values(), query),
            "places": places(rows.values()),
            "tiles": tiles(rows.values()),
            "queues": queues[:MOST_QUEUES],
            "more_queues": max(0, len(queues) - MOST_QUEUES),
            "sources": sorted({row.source for row in rows.values() if row.source}, key=str.casefold),
            "kinds": list(JobKind),
            "statuses": list(JobStatus),
        }

    def if_changed(request: Request, key: str, shows: tuple[object, ...], render: Callable[[], str]) -> Response:
        """Return the fragment; nothing if the page shows it already: replacing it could lose a click."""
        fragment = fragments.of(key, shows, render)
        if request.headers.get("X-Shown") == fragment.digest:
            return Response(status_code=204)
        return HTMLResponse(fragment.content, headers={"X-Shown": fragment.digest})

    @routes.get("/")
    def jobs_page(request: Request) -> Response:
        """Show the table of jobs."""
        return table(request)

    @routes.get("/jobs/{job_id}")
    def job_page(request: Request, job_id: str) -> Response:
        """Show a job: its side sheet beside the table."""
        if not is_fragment(request):
            return table(request, sheets.fresh(job_id))
        session = session_of(request)  # the template shows only what its role allows
        try:
            sheet = sheets.recent(job_id) if request.headers.get("X-Shown") else sheets.fresh(job_id)
        except JobNotFound as error:  # the sheet of a job that was deleted is closed
            headers = {"HX-Retarget": "#messages", "HX-Reswap": "innerHTML"}
            headers["HX-Trigger-After-Swap"] = _deleted(job_id)
            return pages.answer(request, "_message.html", status=404, headers=headers, message=str(error))
        key = f"{job_id} {session.role}"
        return if_changed(request, key, (sheet,), lambda: pages.text("_sheet.html", session=session, sheet=sheet))

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
        changed = {"HX-Trigger-After-Swap": "jobs-changed"}
        if request.headers.get("HX-Target") == "sheet":
            return pages.answer(request, "_sheet.html", sheet=sheets.now(job_id), headers=changed)
        message = f"{step.capitalize()}: {job.name} is {job.status}."
        return pages.answer(request, "_message.html", message=message, headers=changed)

    @routes.delete("/jobs/{job_id}")
    def delete(request: Request, job_id: str) -> Response:
        """Delete a job: its run and its evidence, except for the last entry of its log."""
        exports = jobs.delete(job_id)
        index.expire(job_id, *exports)
        evidence.forget(job_id)
        awaited = "".join(f" Export {export}, which awaited it, was deleted too." for export in exports)
        message = f"The job was deleted.{awaited} Its packages are where they were delivered. [job={job_id}]"
        return pages.answer(
            request,
            "_message.html",
            message=message,
            headers={"HX-Trigger": _deleted(job_id)},
        )

    return routes


def _deleted(job_id: str) -> str:
    """Return the events in a page that a job is gone; its sheet is closed first, so that it is not asked for again."""
    return json.dumps({"job-deleted": {"job": job_id}, "dialog-closed": {}, "jobs-changed": {}})
