"""The jobs that were deleted in Prefect, below the table of jobs: delete their evidence, or keep it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from prefect_collect.console.deleted_table import DeletedIndex, deleted_table
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.pages import Pages, is_fragment


def deleted_routes(deleted: DeletedIndex, index: JobIndex, pages: Pages, evidence: Evidence) -> APIRouter:
    """Return the routes of jobs that were deleted in Prefect."""
    routes = APIRouter(include_in_schema=False)

    def shown(request: Request, message: str = "") -> Response:
        found, rows = deleted.found(), index.rows()
        for job in found.jobs:
            if job.job_id in rows:  # the index sees that a run was deleted only when it reads all runs again
                index.expire(job.job_id)
        return pages.answer(request, "_deleted.html", table=deleted_table(found), message=message)

    @routes.get("/deleted")
    def table(request: Request) -> Response:
        """Show the jobs, below the table of jobs."""
        if not is_fragment(request):
            return RedirectResponse(f"{pages.root_path}/", 303)
        return shown(request)

    @routes.post("/deleted/look")
    def look(request: Request) -> Response:
        """Look into the staging stores now."""
        deleted.look()
        return shown(request, "The staging stores were looked at.")

    @routes.get("/deleted/{job_id}")
    def ask(request: Request, job_id: str) -> Response:
        """Show what deleting a job's evidence removes, and what stays."""
        return pages.answer(request, "_delete_evidence.html", job=deleted.job(job_id))

    @routes.post("/deleted/{job_id}/keep")
    def keep(request: Request, job_id: str) -> Response:
        """Keep the evidence of a job."""
        job = deleted.keep(job_id)
        return shown(request, f"The evidence of {job.name or job.job_id} is kept.")

    @routes.delete("/deleted/{job_id}")
    def delete(request: Request, job_id: str) -> Response:
        """Delete the evidence of a job, except for the last entry of its log."""
        deleted.delete(job_id)
        evidence.forget(job_id)
        message = f"The evidence was deleted. Packages are where they were delivered. [job={job_id}]"
        headers = {"HX-Trigger": "deleted-changed, dialog-closed"}
        return pages.answer(request, "_message.html", message=message, headers=headers)

    return routes
