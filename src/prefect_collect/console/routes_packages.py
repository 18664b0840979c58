"""Export a collection, and download an export's package."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from prefect_collect import jobs
from prefect_collect.console.duplicate_fields import duplicate_fields
from prefect_collect.console.format_fields import format_fields
from prefect_collect.console.forms import form_fields, is_checked, require_whole, require_worker
from prefect_collect.console.job_index import JobIndex
from prefect_collect.console.job_sheet import job_sheet
from prefect_collect.console.package_file import LINK_SECONDS, PackageFiles, presigned_link
from prefect_collect.console.pages import Pages, session_of
from prefect_collect.console.ranges import file_answer
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, Format
from prefect_collect.formats.bag_rules import MEDIA_TYPES
from prefect_collect.formats.profiles import PRESETS
from prefect_collect.packages import PACKAGE_FORMATS
from prefect_collect.statuses import JobKind, NextStep, require_step

Fields = Annotated[dict[str, str], Depends(form_fields)]

_HOURS: Final = "for an hour" if LINK_SECONDS == 3600 else f"for {LINK_SECONDS} seconds"


def package_routes(index: JobIndex, pages: Pages) -> APIRouter:
    """Return the routes of exports and packages."""
    routes = APIRouter(include_in_schema=False)
    files = PackageFiles()

    @routes.get("/jobs/{job_id}/export")
    def ask_export(request: Request, job_id: str) -> Response:
        """Show the dialog that exports a collection."""
        job = jobs.get(job_id)
        if job.status is not None:
            require_step(job.kind, job.status, NextStep.EXPORT)
        return pages.answer(
            request, "_export.html", job=job, stores=jobs.list_stores(), formats=FORMATS, profiles=PRESETS
        )

    @routes.post("/jobs/{job_id}/export")
    def make_export(request: Request, job_id: str, fields: Fields) -> Response:
        """Make an export of a collection, and show its sheet."""
        require_worker(JobKind.EXPORT)
        made = jobs.start_export(job_id, here=False, **export_parameters(fields))
        index.expire()
        address = f"{pages.root_path}/jobs/{made.id}"
        headers = {
            "HX-Trigger": "dialog-closed",
            "HX-Trigger-After-Swap": "jobs-changed",
            "HX-Push-Url": address,
        }
        return pages.answer(request, "_sheet.html", sheet=job_sheet(made.id), headers=headers)

    @routes.get("/jobs/{job_id}/delete")
    def ask_delete(request: Request, job_id: str) -> Response:
        """Show what deleting a job removes, and what stays."""
        job = jobs.get(job_id)
        if job.status is not None:
            require_step(job.kind, job.status, NextStep.DELETE)
        return pages.answer(request, "_delete.html", sheet=job_sheet(job_id))

    @routes.get("/jobs/{job_id}/download")
    def ask_download(request: Request, job_id: str) -> Response:
        """Show a package's fingerprint, size and ways to download it."""
        package = jobs.delivered_package(job_id)
        found, linked = files.file(package), presigned_link(package) is not None
        spec = PACKAGE_FORMATS.get(cast("Format", package.format))
        seal = "list of files" if spec is None else spec.seal
        return pages.answer(
            request, "_download.html", package=package, file=found, linked=linked, lasting=_HOURS, seal=seal,
            remark=package.version_remark(),
        )  # fmt: skip

    @routes.api_route("/jobs/{job_id}/package", methods=["GET", "HEAD"])
    def download(request: Request, job_id: str, through: str = "") -> Response:
        """Send a package, or the wanted part of it, or redirect to its bucket, unless `through` is "console"."""
        package = jobs.delivered_package(job_id)
        found = files.file(package)
        is_part = "range" in request.headers
        user = session_of(request).user
        link = None if through == "console" else presigned_link(package)
        answer: Response
        if link is not None:
            answer, to = RedirectResponse(link, 303), f"a link to it that is valid {_HOURS}"
        else:
            answer = file_answer(request, found.name, found.size, found.etag, found.chunks, _media_type(found.name))
            to = "a browser, as a ZIP file" if package.is_folder else "a browser"
        is_sent = request.method == "GET" and answer.status_code < 400
        if is_sent and (link is not None or files.begins(user, package, found.etag, is_part=is_part)):
            package.record_download(to, required=True)
        return answer

    return routes


def _media_type(name: str) -> str:
    kind = next((kind for kind in MEDIA_TYPES if name.endswith(f".{kind}")), "zip")
    return MEDIA_TYPES[kind][0]


def export_parameters(fields: dict[str, str]) -> dict[str, Any]:
    """Return the parameters of an export that the fields of a form ask for. Raise UsageError."""
    format = fields.get("format", "bagit")
    if format not in FORMATS:
        raise UsageError(f"There is no such format of packages. [format={format}]")
    destination = fields.get("destination", "") or fields.get("location", "").strip()
    if not destination:
        raise UsageError(
            "Pick a saved destination, or type a folder or s3://bucket/prefix (gs:// and az:// alike). [destination]"
        )
    return {
        "destination": require_whole(destination, "destination"),
        "format": cast("Format", format),
        "name": fields.get("name", "").strip() or None,
        "sha512": is_checked(fields, "sha512"),
        "portable_names": is_checked(fields, "portable_names"),
        **format_fields(fields, format),
        **duplicate_fields(fields),
    }
