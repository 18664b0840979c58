"""New collections, and schedules that start them, as JSON, for programs; see `routes_api`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, Field

from prefect_collect import jobs
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.locate import require_there
from prefect_collect.console.api_models import JobDetails, job_details
from prefect_collect.console.forms import require_whole
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import job_sheet
from prefect_collect.console.new_collection import source_of
from prefect_collect.console.routes_api import REFUSED
from prefect_collect.errors import JobNotFound, SourceNotFound, UsageError
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.parameters import CustodianPatterns, Hash, Since
from prefect_collect.sources.query import Query
from prefect_collect.stores.addresses import STORE_BLOCKS

Size = Annotated[int | None, Field(ge=0, le=(1 << 63) - 1)]


class WantedQuery(BaseModel):
    """Which items of a source to collect; what is left out takes all."""

    model_config = ConfigDict(extra="forbid")

    include: list[str] = Field(default=[], description="Globs over the path, one of which must match.")
    exclude: list[str] = Field(default=[], description="Globs over the path, none of which may match.")
    modified_after: str | None = Field(default=None, description="As 2026-01-31, or with a time (UTC without a zone).")
    modified_before: str | None = None
    min_size: Size = Field(default=None, description="Bytes.")
    max_size: Size = None
    limit: Size = Field(default=None, description="The most items to read.")


class WantedCollection(BaseModel):
    """A collection to make."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(
        min_length=1,
        description="A saved source's reference, as file-source/docs; or a URL, or the whole path of a folder or file "
        "that the console's machine has.",
    )
    query: WantedQuery = WantedQuery()
    name: str | None = Field(default=None, description="By default the source's.")
    store: str | None = Field(
        default=None,
        description="The staging store: a folder, s3://bucket/prefix (gs://, az://), or a saved one as "
        "collect-s3-store/NAME.",
    )
    custodian: str | None = None
    custodian_folder: str | None = Field(default=None, description="As home/{custodian}.")
    custodians: CustodianPatterns = Field(
        default=None, description='As [{"pattern": "mail/anna/**", "custodian": "Anna Lee"}]; the first that matches.'
    )
    auto_export: AutoExport | None = Field(default=None, description="The export to make of the collection.")
    since: Since | None = Field(default=None, description="last: only what is new or changed.")
    hashes: list[Hash] | None = Field(default=None, description="Hashes to compute beside SHA-256.")
    compress: bool = False


class WantedSchedule(WantedCollection):
    """A schedule to make: its collections, and either a cron expression or the hours between two starts."""

    cron: str | None = Field(default=None, description="As 0 3 * * 1-5.")
    every_hours: int | None = Field(default=None, ge=1, le=9999)
    timezone: str = Field(default="UTC", description="As Europe/Berlin.")


class ScheduleInList(BaseModel):
    """A schedule that starts collections."""

    id: UUID
    source_id: UUID | None = Field(description="The saved source, as in the list of sources; null for one not saved.")
    deployment: str = Field(description="The name of the Prefect deployment that has the schedule.")
    timing: str = Field(description="When it starts a collection, in words.")
    timezone: str
    active: bool = Field(description="False if it is paused.")
    next_start: datetime | None = Field(description="Null if it is paused, or not planned by Prefect yet.")


class ScheduleChange(BaseModel):
    """Whether a schedule starts collections, or is paused."""

    active: bool


def api_collection_routes(index: JobIndex) -> APIRouter:
    """Return the routes of new collections and schedules of the API."""
    routes = APIRouter(prefix="/api", responses=REFUSED)

    @routes.post("/jobs", status_code=201)
    def draft(wanted: WantedCollection) -> JobDetails:
        """Save a collection as a draft; `POST /api/jobs/{job_id}/start` starts it."""
        job = jobs.draft_collection(**_parameters(wanted))
        index.expire()
        return job_details(job_sheet(job.id))

    @routes.get("/schedules")
    def list_schedules() -> list[ScheduleInList]:
        """List the schedules of collections."""
        return [_listed(one) for one in jobs.list_schedules()]

    @routes.post("/schedules", status_code=201)
    def schedule(wanted: WantedSchedule) -> ScheduleInList:
        """Have a schedule start collections."""
        every = None if wanted.every_hours is None else timedelta(hours=wanted.every_hours)
        timing: dict[str, Any] = {"cron": wanted.cron, "every": every, "timezone": wanted.timezone}
        return _listed(jobs.schedule_collection(**_parameters(wanted), **timing))

    @routes.patch("/schedules/{schedule_id}")
    def change_schedule(schedule_id: UUID, change: ScheduleChange) -> ScheduleInList:
        """Pause a schedule, or let it go on."""
        jobs.set_schedule_active(schedule_id, change.active)
        for one in jobs.list_schedules():
            if one.id == schedule_id:
                return _listed(one)
        raise JobNotFound(f"The schedule was deleted meanwhile. [schedule={schedule_id}]")

    @routes.delete("/schedules/{schedule_id}", status_code=204)
    def delete_schedule(schedule_id: UUID) -> None:
        """Delete a schedule; the jobs that it has started stay."""
        jobs.delete_schedule(schedule_id)

    return routes


def _parameters(wanted: WantedCollection) -> dict[str, Any]:
    """Return the parameters of the collection, for `jobs.draft_collection`. Raise UsageError, SourceNotFound."""
    query = Query.of(wanted.query.model_dump(exclude_none=True)).to_json()
    return {
        "source": _source(wanted.source),
        "query": query or None,
        "name": wanted.name or None,
        "store": _store(wanted.store),
        "custodian": wanted.custodian or None,
        "custodian_folder": wanted.custodian_folder or None,
        "custodians": wanted.custodians,
        "auto_export": wanted.auto_export,
        "since": wanted.since,
        "hashes": wanted.hashes or None,
        "compress": True if wanted.compress else None,
    }


def _source(named: str) -> DataSource:
    """Return the saved source of that reference, or the source at that place, as the form takes it."""
    if named.startswith("/") or ":" in named:
        source = source_of({"from": "new", "location": named})
        require_there(named)
        return source
    found = next((one for one in jobs.list_sources() if one.reference == named), None)
    if found is None:
        raise SourceNotFound(
            f"Prefect has no such data source. Name a saved one as file-source/docs, or type a whole path or URL. "
            f"[source={named}]"
        )
    return source_of({"from": "saved", "source": str(found.id)})


def _store(named: str | None) -> Block | str | None:
    """Return a saved store, or the place of one; None for the default one. Raise UsageError."""
    if named is None or not named.startswith(STORE_BLOCKS):
        return require_whole(named or "", "store") or None
    found = next((one for one in jobs.list_stores() if one.reference == named), None)
    if found is None:
        raise UsageError(f"Prefect has no such store. [store={named}]")
    return jobs.saved_block(found.id)


def _listed(one: jobs.CollectionSchedule) -> ScheduleInList:
    return ScheduleInList(
        id=one.id,
        source_id=one.source_block,
        deployment=one.deployment,
        timing=one.timing,
        timezone=one.timezone,
        active=one.active,
        next_start=one.next_start,
    )
