"""The attachments of an e-mail: their list, the preview and the download of one."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response

from prefect_collect import jobs
from prefect_collect.console.attachments import saved
from prefect_collect.console.item_query import ItemQuery
from prefect_collect.console.item_tables import Evidence
from prefect_collect.console.mail_attachments import MOST_BYTES, Attachment, attachments_of
from prefect_collect.console.pages import Pages
from prefect_collect.console.previews import Shown, bytes_shown_as, preview_of_bytes, shown_as
from prefect_collect.console.routes_items import Row, collection_of, refused_in_frame, shown_in_frame
from prefect_collect.errors import ActionNotAllowed, CollectError
from prefect_collect.packages import HeldItem, held_item

_MOST: Final = 1_000

Number = Annotated[int, Path(ge=1, le=_MOST)]


def attachment_routes(evidence: Evidence, pages: Pages) -> APIRouter:
    """Return the routes of e-mails' attachments."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs/{job_id}/items/{row}/attachments")
    def attachments(
        request: Request, job_id: str, row: Row, show: Annotated[int, Query(ge=0, le=_MOST)] = 0
    ) -> Response:
        """List a mail's attachments, and enter the look into the custody log; show one of them in a frame."""
        job, item, found = opened(request, job_id, row)
        chosen = next((one for one in found if one.number == show), None)
        shown = None if chosen is None else bytes_shown_as(chosen.content)
        attempt = request.query_params.get("attempt", "")
        return pages.answer(
            request, "attachments.html", job=job, item=item, row=row, found=found, chosen=chosen, shown=shown,
            at=f"?attempt={attempt}" if attempt.isdecimal() else "?",
        )  # fmt: skip

    @routes.get("/jobs/{job_id}/items/{row}/attachments/{number}/content")
    def content(request: Request, job_id: str, row: Row, number: Number) -> Response:
        """Return the preview of an attachment, and enter the look into the custody log."""
        try:
            _, _, [found] = opened(request, job_id, row, number)
        except CollectError as error:
            return refused_in_frame(error)
        return shown_in_frame(preview_of_bytes(found.content), found.name)

    @routes.get("/jobs/{job_id}/items/{row}/attachments/{number}/file")
    def file(request: Request, job_id: str, row: Row, number: Number) -> Response:
        """Send an attachment as a file, and enter the download into the custody log."""
        _, _, [found] = opened(request, job_id, row, number, download=True)
        return saved([found.content], name=found.name, size=len(found.content))

    def opened(
        request: Request, job_id: str, row: int, number: int = 0, *, download: bool = False
    ) -> tuple[jobs.Job, HeldItem, list[Attachment]]:
        """Return a collection, a mail and its attachments, or the one of that number, and enter it into the log: not
        before it is found, as the log must not name what was not shown.
        """
        job = collection_of(job_id)
        files = evidence.of(job, ItemQuery.of(request.query_params).attempt_number).files
        item = held_item(files, row)
        found = [one for one in _attachments(item) if number in (0, one.number)]
        if number and not found:
            raise HTTPException(404, f"The mail has no attachment of that number. [attachment={number}]")
        jobs.open_item(job, row, files=files, download=download, attachment=number)
        return job, item, found

    return routes


def _attachments(item: HeldItem) -> list[Attachment]:
    """Return the attachments of an item whose bytes are proven. Raise ActionNotAllowed if it is no e-mail."""
    if shown_as(item) is not Shown.MAIL:
        raise ActionNotAllowed(f"The item is no e-mail, so it has no attachments. [item={item.original_path}]")
    if item.size > MOST_BYTES:
        raise ActionNotAllowed(
            f"The mail is too large to be taken apart here. Download it. [item={item.original_path}]"
        )
    return attachments_of(b"".join(item.read()))
