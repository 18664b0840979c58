"""The console as an ASGI application."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from prefect.exceptions import PrefectHTTPStatusError
from starlette.exceptions import HTTPException

from prefect_collect.console.access import Access
from prefect_collect.console.deleted_table import DeletedIndex
from prefect_collect.console.growth import Growths
from prefect_collect.console.guard import Guard, Place, is_api
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.pages import Pages, is_fragment
from prefect_collect.console.routes_api import api_routes
from prefect_collect.console.routes_api_collections import api_collection_routes
from prefect_collect.console.routes_api_deleted import api_deleted_routes
from prefect_collect.console.routes_api_items import api_item_routes
from prefect_collect.console.routes_api_sources import api_source_routes
from prefect_collect.console.routes_attachments import attachment_routes
from prefect_collect.console.routes_deleted import deleted_routes
from prefect_collect.console.routes_documents import document_routes
from prefect_collect.console.routes_errors import error_routes
from prefect_collect.console.routes_items import item_routes
from prefect_collect.console.routes_jobs import job_routes
from prefect_collect.console.routes_login import login_routes
from prefect_collect.console.routes_new import new_routes
from prefect_collect.console.routes_packages import package_routes
from prefect_collect.console.routes_sources import source_routes
from prefect_collect.errors import (
    ActionNotAllowed,
    CollectError,
    EvidenceError,
    JobNotFound,
    PackageError,
    PrefectError,
    SourceError,
    SourceNotFound,
    StoreError,
    UsageError,
)
from prefect_collect.runs.trouble import trouble_of

_STATIC: Final = {
    "console.css": ("prefect_collect.console", "static/console.css", "text/css"),
    "console.js": ("prefect_collect.console", "static/console.js", "text/javascript"),
    "htmx.js": ("js_lib_htmx", "static/htmx/htmx.min.js", "text/javascript"),
}


@dataclass(frozen=True)
class Shared:
    """What all routes use.

    Attributes:
        access: The tokens and sessions.
        place: Where the console is reached.
        index: The rows of all jobs.
        pages: The templates.
        evidence: The lists of items that are looked at.
        growths: The ledgers of which curves were drawn.
        deleted: The jobs that were deleted in Prefect.
    """

    access: Access
    place: Place
    index: JobIndex
    pages: Pages
    evidence: Evidence
    growths: Growths
    deleted: DeletedIndex


def create_app(access: Access, place: Place) -> Guard:
    """Return the application, behind its guard."""
    shared = Shared(access, place, JobIndex(), Pages(place.root_path), Evidence(), Growths(), DeletedIndex())
    app = FastAPI(title="prefect-collect console", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.include_router(login_routes(shared.access, shared.place, shared.pages))
    app.include_router(item_routes(shared.evidence, shared.growths, shared.pages))
    app.include_router(attachment_routes(shared.evidence, shared.pages))
    app.include_router(error_routes(shared.evidence, shared.index, shared.pages))
    app.include_router(document_routes())
    # Before the jobs' own: those take any step by its name.
    app.include_router(package_routes(shared.index, shared.pages))
    app.include_router(new_routes(shared.index, shared.pages))
    app.include_router(source_routes(shared.index, shared.pages))
    app.include_router(job_routes(shared.index, shared.pages, shared.evidence))
    app.include_router(deleted_routes(shared.deleted, shared.index, shared.pages, shared.evidence))
    app.include_router(api_source_routes(shared.index))
    app.include_router(api_collection_routes(shared.index))
    app.include_router(api_deleted_routes(shared.deleted, shared.evidence))
    app.include_router(api_item_routes(shared.evidence, shared.index))
    app.include_router(api_routes(shared.index, shared.evidence))
    _add_files(app)
    _add_errors(app, shared.pages)
    return Guard(app, access=access, place=place)


def _add_files(app: FastAPI) -> None:
    paths = {name: Path(str(files(package) / file)) for name, (package, file, _) in _STATIC.items()}

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        """Return one of the console's own files."""
        if name not in paths:
            return PlainTextResponse("There is no such file.\n", 404)
        return FileResponse(paths[name], media_type=_STATIC[name][2], headers={"Cache-Control": "max-age=3600"})

    @app.get("/health", include_in_schema=False)
    def health() -> PlainTextResponse:
        """Answer that the console runs."""
        return PlainTextResponse("ok\n")


def _add_errors(app: FastAPI, pages: Pages) -> None:
    @app.exception_handler(CollectError)
    def refused(request: Request, error: CollectError) -> Response:
        return _shown(request, pages, _status(error), str(error))

    @app.exception_handler(HTTPException)
    def failed(request: Request, error: HTTPException) -> Response:
        return _shown(request, pages, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = (f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors())
        return _shown(request, pages, 422, "; ".join(faults))

    @app.exception_handler(httpx.HTTPError)
    @app.exception_handler(PrefectHTTPStatusError)
    def away(request: Request, error: httpx.HTTPError) -> Response:
        return _shown(request, pages, 503, f"Prefect's server {trouble_of(error)}.")


def _status(error: CollectError) -> int:
    if isinstance(error, JobNotFound | SourceNotFound):
        return 404
    if isinstance(error, ActionNotAllowed | PackageError):
        return 409
    if isinstance(error, UsageError):
        return 422
    if error.transient:
        return 503
    # What stands behind the console refuses; 500 is left to defects of the console itself.
    return 502 if isinstance(error, StoreError | SourceError | EvidenceError | PrefectError) else 500


def _shown(request: Request, pages: Pages, status: int, message: str) -> Response:
    if is_api(request.scope):
        return JSONResponse({"detail": message}, status)
    if is_fragment(request):
        # htmx shows what it is sent here, in the region for messages, whatever the request was to replace.
        content = pages.text("_message.html", message=message)
        return HTMLResponse(content, status, headers={"HX-Retarget": "#messages", "HX-Reswap": "innerHTML"})
    return pages.answer(request, "error.html", status=status, code=status, message=message)
