"""Sources and exports as JSON, for programs; see `routes_api`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from prefect_collect import jobs
from prefect_collect.console.api_models import JobDetails, job_details
from prefect_collect.console.forms import require_whole, require_worker
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import job_sheet
from prefect_collect.console.routes_api import REFUSED, JobId
from prefect_collect.errors import SourceNotFound
from prefect_collect.formats import FORMAT_WORDS, Format
from prefect_collect.parameters import Deduplicate
from prefect_collect.statuses import JobKind, LifecycleStatus
from prefect_collect.stores.addresses import DESTINATIONS

Limit = Annotated[int, Field(ge=0, le=1000)]


class SourceInList(BaseModel):
    """A saved data source."""

    id: UUID
    reference: str = Field(description="The block's type and name, as file-source/docs.")
    name: str = Field(description="The source's name in jobs; empty if the block cannot be read.")
    location: str
    lifecycle: LifecycleStatus
    collections_at_once: int = Field(description="How many collections of it may run at once.")
    exports_at_once: int
    problem: str = Field(description="Why the block cannot be read; empty if it can.")


class SourceChange(BaseModel):
    """What to change of a source; what is left out stays."""

    lifecycle: LifecycleStatus | None = None
    collections_at_once: Limit | None = None
    exports_at_once: Limit | None = None


class WantedExport(BaseModel):
    """An export to make of a collection."""

    model_config = ConfigDict(extra="forbid")

    destination: str = Field(
        min_length=1,
        description=f"Where the package goes: {DESTINATIONS}.",
    )
    format: Format = Field(default="bagit", description=FORMAT_WORDS)
    name: str | None = None
    sha512: bool = False
    portable_names: bool = False
    load_file: dict[str, Any] | None = Field(default=None, description="The fields of prefect_collect.LoadFile.")
    bag: dict[str, Any] | None = Field(default=None, description="The fields of prefect_collect.BagOptions.")
    mail: dict[str, Any] | None = Field(default=None, description="The fields of prefect_collect.MailSet.")
    dataset: dict[str, Any] | None = Field(default=None, description="The fields of prefect_collect.Dataset.")
    deduplicate: Deduplicate | None = Field(default=None, description="Deliver items with the same bytes once.")
    duplicates_of: list[str] | None = Field(default=None, description="The ids of earlier jobs to compare with.")


def api_source_routes(index: JobIndex) -> APIRouter:
    """Return the routes of sources and exports of the API."""
    routes = APIRouter(prefix="/api", responses=REFUSED)

    @routes.get("/sources")
    def list_sources() -> list[SourceInList]:
        """List the saved data sources."""
        limits = jobs.source_limits()
        return [_listed(source, limits) for source in jobs.list_sources()]

    @routes.patch("/sources/{source_id}")
    def change_source(source_id: UUID, change: SourceChange) -> SourceInList:
        """Change a source's lifecycle, or how many of its jobs may run at once."""
        source = next((one for one in jobs.list_sources() if one.id == source_id), None)
        if source is None:
            raise SourceNotFound(f"Prefect has no such data source. [source={source_id}]")
        if change.lifecycle is not None:
            source = jobs.set_lifecycle(source_id, change.lifecycle)
            index.expire()
        for kind, limit in (
            (JobKind.COLLECTION, change.collections_at_once),
            (JobKind.EXPORT, change.exports_at_once),
        ):
            if limit is not None:
                jobs.set_source_limit(source.name, limit, kind)
        return _listed(source, jobs.source_limits())

    @routes.post("/jobs/{job_id}/exports", status_code=201)
    def make_export(job_id: JobId, wanted: WantedExport) -> JobDetails:
        """Export a collection as a new job. A worker (`prefect-collect serve`) runs it."""
        collection = jobs.get(job_id)
        require_worker(JobKind.EXPORT)
        require_whole(wanted.destination, "destination")
        made = jobs.start_export(collection.id, here=False, **wanted.model_dump())
        index.expire()
        return job_details(job_sheet(made.id))

    return routes


def _listed(source: jobs.SavedSource, limits: dict[tuple[JobKind, str], int]) -> SourceInList:
    return SourceInList(
        id=source.id,
        reference=source.reference,
        name=source.name,
        location=source.location,
        lifecycle=source.lifecycle,
        collections_at_once=limits.get((JobKind.COLLECTION, source.name), 1),
        exports_at_once=limits.get((JobKind.EXPORT, source.name), 1),
        problem=source.problem,
    )
