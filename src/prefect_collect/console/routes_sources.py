"""The page of saved sources: their lifecycle, limits and schedules, changed here."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from prefect_collect import jobs
from prefect_collect.console.forms import form_fields
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.pages import Pages, is_fragment
from prefect_collect.console.source_table import BAR_WIDTH, PLOT_HEIGHT, SourceRow, source_rows
from prefect_collect.errors import SourceNotFound, UsageError
from prefect_collect.statuses import JobKind, LifecycleStatus

Fields = Annotated[dict[str, str], Depends(form_fields)]


def source_routes(index: JobIndex, pages: Pages) -> APIRouter:
    """Return the routes of the page of sources."""
    routes = APIRouter(include_in_schema=False)

    def page(request: Request, rows: list[SourceRow], schedules: list[jobs.CollectionSchedule]) -> Response:
        shown: dict[str, Any] = {
            "rows": rows, "lifecycles": list(LifecycleStatus), "kinds": list(JobKind), "bar_width": BAR_WIDTH,
            "plot_height": PLOT_HEIGHT, "others": _others(rows, schedules),
        }  # fmt: skip
        return pages.answer(request, "_sources.html" if is_fragment(request) else "sources.html", **shown)

    def looked(request: Request) -> Response:
        schedules = jobs.list_schedules()
        found = source_rows(jobs.list_sources(), index.rows().values(), schedules, jobs.source_limits())
        return page(request, found, schedules)

    @routes.get("/sources")
    def sources(request: Request) -> Response:
        """Show the saved sources."""
        return looked(request)

    @routes.post("/sources/{source_id}/lifecycle")
    def set_lifecycle(request: Request, source_id: UUID, fields: Fields) -> Response:
        """Change a source's lifecycle."""
        wanted = fields.get("lifecycle", "")
        if wanted not in list(LifecycleStatus):
            raise UsageError(f"There is no such lifecycle. [lifecycle={wanted}]")
        jobs.set_lifecycle(source_id, LifecycleStatus(wanted))
        index.expire()
        return looked(request)

    @routes.post("/sources/{source_id}/limit")
    def set_limit(request: Request, source_id: UUID, fields: Fields) -> Response:
        """Change how many collections and exports of a source may run at once."""
        name = next((source.name for source in jobs.list_sources() if source.id == source_id), "")
        if not name:
            raise SourceNotFound(f"Prefect has no such data source; load the page again. [source={source_id}]")
        for kind in JobKind:
            if kind.value in fields:
                jobs.set_source_limit(name, _limit(fields[kind.value]), kind)
        return looked(request)

    @routes.post("/schedules/{schedule_id}/{step}")
    def change_schedule(request: Request, schedule_id: UUID, step: str) -> Response:
        """Pause a schedule, let it go on, or delete it."""
        if step == "delete":
            jobs.delete_schedule(schedule_id)
        elif step in ("pause", "resume"):
            jobs.set_schedule_active(schedule_id, step == "resume")
        else:
            raise UsageError(f"There is no such step. [step={step}]")
        return looked(request)

    return routes


def _others(rows: list[SourceRow], schedules: list[jobs.CollectionSchedule]) -> list[jobs.CollectionSchedule]:
    """Return the schedules of sources that are not saved under a name."""
    known = {one.id for row in rows for one in row.schedules}
    return [one for one in schedules if one.id not in known]


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise UsageError(f"A limit is a number from 0 to 1000. [limit={text}]")
    return int(text)
