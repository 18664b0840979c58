"""The chain of custody document of a job, as a file to download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from prefect_collect import jobs
from prefect_collect.console.attachments import saved
from prefect_collect.documents.html_page import html_of
from prefect_collect.documents.of_job import job_account
from prefect_collect.documents.pdf_page import pdf_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.custody_events import DOWNLOADED_REPORT

_FORMS: Final[Mapping[str, tuple[Callable[[Mapping[str, Any]], bytes], str]]] = {
    "pdf": (pdf_of, "application/pdf"),
    "html": (html_of, "text/html; charset=utf-8"),
}


def document_routes() -> APIRouter:
    """Return the route of the document."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs/{job_id}/chain-of-custody.{form}")
    def document(job_id: str, form: str) -> Response:
        """Send the document as a file, and enter that into the custody log."""
        if form not in _FORMS:
            raise HTTPException(404, "There is no such document.")
        make, media_type = _FORMS[form]
        folder = jobs.get(job_id).folder
        account = job_account(folder)
        data = make(account)
        attempt, name = account["result"]["attempt"], f"chain-of-custody.{form}"
        details = {"attempt": attempt, "report": name, "sha256": hashlib.sha256(data).hexdigest()}
        custody_log.append(folder, DOWNLOADED_REPORT, details)
        return saved([data], name=f"{job_id}-{name}", size=len(data), media_type=media_type)

    return routes
