"""The items of a collection: their table, the preview and the download of one, and how the collection grew."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, Response

from prefect_collect import jobs
from prefect_collect.console.attachments import disposition, saved
from prefect_collect.console.growth import Growths
from prefect_collect.console.item_query import OUTCOMES, ItemQuery
from prefect_collect.console.item_tables import Evidence, codes_of
from prefect_collect.console.pages import Pages
from prefect_collect.console.plot import HEIGHT, WIDTH, curve
from prefect_collect.console.previews import Preview, Shown, preview_of, shown_as
from prefect_collect.console.watched import Watched
from prefect_collect.errors import ActionNotAllowed, CollectError, EvidenceError
from prefect_collect.packages import HeldItem, held_item
from prefect_collect.statuses import JobKind, NextStep

CONTENT_HEADERS: Final = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}
"""The headers of an item's bytes: nothing in them is executed, loads anything, or belongs to the console's origin."""

_STOP_POLLING: Final = 286
"""The status at which htmx shows an answer for good."""

_MOST_ROWS: Final = (1 << 31) - 1

Row = Annotated[int, Path(ge=0, le=_MOST_ROWS)]
"""An item's number in the addresses of its pages."""


def item_routes(evidence: Evidence, growths: Growths, pages: Pages) -> APIRouter:
    """Return the routes of the items' pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs/{job_id}/items")
    def items(request: Request, job_id: str) -> Response:
        """Show a page of the items that match the search."""
        job = collection_of(job_id)
        query = ItemQuery.of(request.query_params)
        tables = evidence.of(job, query.attempt_number)
        values: dict[str, Any] = {
            "job": job,
            "query": query,
            "table": tables.items(query),
            "files": tables.files,
            "held": tables.held_count(),
            "codes": codes_of(tables.files),
            "outcomes": OUTCOMES,
            "can_preview": NextStep.PREVIEW in job.next_steps,
        }
        return pages.answer(request, "items.html", **values)

    @routes.get("/jobs/{job_id}/items/{row}")
    def item(request: Request, job_id: str, row: Row) -> Response:
        """Show what is known of one item, and a frame with its preview."""
        job = collection_of(job_id)
        query = ItemQuery.of(request.query_params)
        tables = evidence.of(job, query.attempt_number)
        files, before = tables.files, tables.held_count()
        values: dict[str, Any] = {"job": job, "query": query, "files": files, "row": row}
        if row >= before:
            if row - before >= files.errors.num_rows:
                raise HTTPException(404, f"The job has no item of that number. [job={job_id}]")
            return pages.answer(request, "item.html", item=None, failed=tables.reported([row - before])[0], **values)
        found = held_item(files, row)
        can_preview = NextStep.PREVIEW in job.next_steps
        shown, problem = _shown(found) if can_preview else (Shown.NOTHING, "")
        return pages.answer(
            request,
            "item.html",
            item=found,
            failed=None,
            shown=shown,
            problem=problem,
            can_preview=can_preview,
            **values,
        )

    @routes.get("/jobs/{job_id}/items/{row}/content")
    def content(request: Request, job_id: str, row: Row) -> Response:
        """Return the preview of an item, and enter the look into the custody log."""
        try:
            found = _opened(request, job_id, row)
            preview = preview_of(found)
        except CollectError as error:
            return refused_in_frame(error)
        return shown_in_frame(preview, _file_name(found))

    @routes.get("/jobs/{job_id}/items/{row}/file")
    def file(request: Request, job_id: str, row: Row) -> Response:
        """Send an item as a file, and enter the download into the custody log."""
        found = _opened(request, job_id, row, download=True)
        return saved(found.read(), name=_file_name(found), size=found.size)

    @routes.get("/jobs/{job_id}/plot")
    def plot(job_id: str) -> Response:
        """Show how the collection's last attempt grew, also while it runs."""
        content, is_open = plots.recent(job_id)
        return HTMLResponse(content, 200 if is_open else _STOP_POLLING)

    def drawn(job_id: str) -> tuple[str, bool]:
        """Return the curves, which are the same for all who watch, and whether they go on."""
        job = collection_of(job_id)
        growth = None if job.place is None else growths.of(job.place)
        curves = () if growth is None else (curve(growth.items), curve(growth.bytes))
        content = pages.text("_plot.html", job=job, growth=growth, curves=curves, width=WIDTH, height=HEIGHT)
        return content, _is_open(job)

    plots = Watched(drawn)

    def _opened(request: Request, job_id: str, row: int, *, download: bool = False) -> HeldItem:
        """Return the item of the attempt that the address names, and enter the look into the custody log."""
        job = collection_of(job_id)
        tables = evidence.of(job, ItemQuery.of(request.query_params).attempt_number)
        return jobs.open_item(job, row, files=tables.files, download=download)

    return routes


def collection_of(job_id: str) -> jobs.Job:
    """Return a collection. Raise ActionNotAllowed for an export, JobNotFound."""
    job = jobs.get(job_id)
    if job.kind is not JobKind.COLLECTION:
        raise ActionNotAllowed(f"An export holds no items; see those of its collection. [job={job_id}]")
    return job


def shown_in_frame(preview: Preview, name: str) -> Response:
    """Return a preview as an answer for a frame of one of the console's pages."""
    headers = {**CONTENT_HEADERS, "Content-Disposition": disposition(name, inline=True)}
    return Response(preview.content, media_type=preview.media_type, headers=headers)


def refused_in_frame(error: Exception) -> Response:
    """Return why there is no preview, as text: an error page could not be shown in the frame."""
    return Response(f"{error}\n", 409, headers=CONTENT_HEADERS, media_type="text/plain; charset=utf-8")


def _is_open(job: jobs.Job) -> bool:
    return job.status is None or not job.status.is_terminal


def _shown(item: HeldItem) -> tuple[Shown, str]:
    """Return how the item will be shown, and why it cannot be."""
    try:
        return shown_as(item), ""
    except EvidenceError as error:
        return Shown.NOTHING, str(error)


def _file_name(item: HeldItem) -> str:
    return item.original_path.rstrip("/").rpartition("/")[2]
