"""The jobs that were deleted in Prefect as JSON, for programs; see `routes_api`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from prefect_collect import jobs
from prefect_collect.console.deleted_table import DeletedIndex
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.routes_api import REFUSED, JobId
from prefect_collect.statuses import JobKind, JobStatus


class DeletedJobInList(BaseModel):
    """A job whose run was deleted in Prefect, but not its evidence."""

    job_id: str
    kind: JobKind | None = Field(description="Null if the job's record cannot be read.")
    name: str
    source: str
    custodian: str
    status: JobStatus | None = Field(description="The recorded status; null if the last attempt has not ended.")
    created: datetime | None
    items: int = Field(description="Items that the job holds or has delivered.")
    bytes: int
    store: str = Field(description="The job's staging store.")
    origin: str = Field(description="Which Prefect server the job was made through.")
    reason: str = Field(description="What is known of the job's run, as a sentence.")
    is_kept: bool
    problem: str = Field(description="Why not all is known of the job; empty if all is known.")


class DeletedJobList(BaseModel):
    """The jobs that were deleted in Prefect, the newest first."""

    jobs: list[DeletedJobInList]
    looked: datetime | None = Field(description="When the staging stores were looked at; null if none was.")
    problems: list[str] = Field(description="Why staging stores could not be read.")


def api_deleted_routes(deleted: DeletedIndex, evidence: Evidence) -> APIRouter:
    """Return the API's routes of jobs that were deleted in Prefect."""
    routes = APIRouter(prefix="/api", responses=REFUSED)

    @routes.get("/deleted")
    def list_deleted() -> DeletedJobList:
        """List the jobs that were deleted in Prefect, but whose evidence is still there, the newest first."""
        return _listed(deleted.found())

    @routes.post("/deleted/look")
    def look() -> DeletedJobList:
        """Look into the staging stores now, and list the jobs."""
        deleted.look()
        return _listed(deleted.found())

    @routes.post("/deleted/{job_id}/keep")
    def keep(job_id: JobId) -> DeletedJobInList:
        """Keep a job's evidence: it is not offered for deletion any more."""
        deleted.keep(job_id)
        return _one(deleted.job(job_id))

    @routes.delete("/deleted/{job_id}", status_code=204)
    def delete(job_id: JobId) -> None:
        """Delete a job's evidence, except for the last entry of its custody log."""
        deleted.delete(job_id)
        evidence.forget(job_id)

    return routes


def _listed(found: jobs.DeletedJobs) -> DeletedJobList:
    rows = [_one(job) for job in found.jobs]
    return DeletedJobList(jobs=rows, looked=found.looked, problems=[*found.problems])


def _one(job: jobs.DeletedJob) -> DeletedJobInList:
    return DeletedJobInList(**asdict(job), reason=job.reason)
