"""A new collection: its source and filters, with a sample of what they take; saved, started, or put on a schedule."""

from __future__ import annotations

from typing import Annotated, Final
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from prefect_collect import jobs
from prefect_collect.codes import CODES
from prefect_collect.console.credential_choices import credential_choices, is_typed
from prefect_collect.console.forms import form_fields, require_worker
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.new_collection import (
    collection_parameters,
    query_of,
    saved_source,
    source_of,
    store_of,
    timing_of,
)
from prefect_collect.console.pages import Pages
from prefect_collect.console.samples import SECONDS, Samples
from prefect_collect.errors import ActionNotAllowed, SourceError, UsageError
from prefect_collect.formats import FORMATS
from prefect_collect.formats.profiles import PRESETS
from prefect_collect.pages.expected import expected_rows
from prefect_collect.runs.prefect_settings import default_store
from prefect_collect.sources.sampling import FIRST, MOST, Sample, taken
from prefect_collect.statuses import JobKind, LifecycleStatus
from prefect_collect.stores.addresses import shown

Fields = Annotated[dict[str, str], Depends(form_fields)]

ESTIMATE_SECONDS: Final = 60.0
"""The most seconds for which a user waits for the listing of a whole source."""

_ZONES: Final = sorted(available_timezones())


def new_routes(index: JobIndex, pages: Pages) -> APIRouter:
    """Return the routes of the page for a new collection."""
    routes = APIRouter(include_in_schema=False)
    samples = Samples()

    @routes.get("/new")
    def new_page(request: Request, source: str = "") -> Response:
        """Show the form; with `source`, the id of a saved one, that one is picked."""
        return pages.answer(
            request, "new.html", chosen=source, sources=jobs.list_sources(), stores=jobs.list_stores(),
            formats=FORMATS, profiles=PRESETS, zones=_ZONES,
            default_store=shown(default_store()),
        )  # fmt: skip

    @routes.post("/new/credentials")
    def credentials(request: Request, fields: Fields) -> Response:
        """Show the saved blocks that a source at the typed location takes; what was picked stays picked."""
        try:
            choices, problem = credential_choices(fields), ""
        except UsageError as error:  # the location is being typed
            choices, problem = [], str(error)
        return pages.answer(request, "_credentials.html", is_typed=is_typed(fields), choices=choices, problem=problem)

    @routes.post("/new/test")
    def test(request: Request, fields: Fields) -> Response:
        """Show the first items of the source, or why it cannot be listed."""
        source = source_of(fields)
        sample = samples.first(source)
        return pages.answer(
            request, "_sample.html", sample=sample, source=source, code=_code(sample), codes=CODES, most=FIRST,
            seconds=SECONDS,
            headers={} if sample.failure else {"HX-Trigger": "sampled"},
        )  # fmt: skip

    @routes.post("/new/count")
    def count(request: Request, fields: Fields) -> Response:
        """Show how many of the source's first items the filters take."""
        try:
            query, source = query_of(fields), source_of(fields)
        except UsageError as error:  # the form is being filled in
            return pages.answer(request, "_count.html", problem=str(error))
        sample = samples.large(source)
        return pages.answer(
            request, "_count.html", problem="", sample=sample, taken=taken(sample, query), most=MOST, seconds=SECONDS
        )

    @routes.post("/new/estimate")
    def estimate(request: Request, fields: Fields) -> Response:
        """List the whole source, and show what a collection takes of it, and how long that takes."""
        made, problem = None, ""
        try:
            query, store = query_of(fields), store_of(fields)
            made = jobs.estimate(source_of(fields), query, store, seconds=ESTIMATE_SECONDS)
        except (UsageError, SourceError) as error:
            problem = str(error)
        rows = [] if made is None else expected_rows(made, None)
        return pages.answer(request, "_estimate.html", problem=problem, estimate=made, rows=rows)

    @routes.post("/new/draft")
    def draft(fields: Fields) -> Response:
        """Save a draft, and show it."""
        job = jobs.draft_collection(**collection_parameters(fields, saved_source(fields)))
        return _to_job(job)

    @routes.post("/new/start")
    def start(fields: Fields) -> Response:
        """Start a collection, and show it."""
        require_worker(JobKind.COLLECTION)
        source = saved_source(fields)
        if source.lifecycle is not LifecycleStatus.ACTIVE:
            raise ActionNotAllowed(
                f"The source is {source.lifecycle.value}, so no job starts on it: activate it on the page Sources, or "
                f"save a draft. [{source.name}]"
            )
        job = jobs.draft_collection(**collection_parameters(fields, source))
        return _to_job(jobs.start(job.id, here=False))

    @routes.post("/new/schedule")
    def schedule(fields: Fields) -> Response:
        """Have a schedule start collections, and show the sources with their schedules."""
        timing = timing_of(fields)
        jobs.schedule_collection(**collection_parameters(fields, saved_source(fields)), **timing)
        return Response(status_code=204, headers={"HX-Redirect": f"{pages.root_path}/sources"})

    def _to_job(job: jobs.Job) -> Response:
        index.expire()
        return Response(status_code=204, headers={"HX-Redirect": f"{pages.root_path}/jobs/{job.id}"})

    return routes


def _code(sample: Sample) -> object:
    """Return what the table of codes says of a listing that failed; None for one that did not."""
    return None if sample.failure is None else CODES.get(sample.failure.code)
