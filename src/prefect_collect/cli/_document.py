"""The options ``--pdf`` and ``--html`` of `report`: a job's chain of custody document as a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect_collect.cli._apart import require_apart_from_folder
from prefect_collect.cli._find_job import find_job
from prefect_collect.cli._new_file import new_file
from prefect_collect.cli._output import Output
from prefect_collect.errors import ActionNotAllowed, UsageError


def require_alone(*, error_report: bool) -> None:
    """Raise UsageError if the error report is asked for too."""
    if error_report:
        raise UsageError(
            "--pdf and --html write the chain of custody document; --to, --csv and --limit are of the error report; "
            "ask for one."
        )


def write_documents(text: str, store: str | None, *, pdf: Path | None, html: Path | None, json: bool) -> None:
    """Write the document of a job into new files, and print their names."""
    wanted = {path: ending for path, ending in ((pdf, ".pdf"), (html, ".html")) if path is not None}
    for path, ending in wanted.items():
        _require_new(path, ending)
    found = find_job(text, store)
    if not found.in_store:
        raise ActionNotAllowed(f"The job has no folder in a staging store, so there is no evidence. [job={found.id}]")
    for path in wanted:
        require_apart_from_folder(found.folder.record(), found.location, str(path.absolute().parent))
    from prefect_collect.documents.html_page import html_of
    from prefect_collect.documents.of_job import job_account
    from prefect_collect.documents.pdf_page import pdf_of

    account = job_account(found.folder)
    makers: Mapping[str, Callable[[Mapping[str, Any]], bytes]] = {".pdf": pdf_of, ".html": html_of}
    for path, ending in wanted.items():
        data = makers[ending](account)
        with new_file(path) as file:
            file.write(data)
    out = Output(as_json=json)
    if json:
        written = {ending[1:]: str(path.absolute()) for path, ending in wanted.items()}
        out.json({"job_id": found.id, "attempt": account["result"]["attempt"], "written_to": written})
        return
    for path in wanted:
        out.line(str(path))


def _require_new(path: Path, ending: str) -> None:
    """Raise UsageError unless the name has that ending, no file has it yet, and its folder exists."""
    if path.suffix.lower() != ending:
        raise UsageError(f"The document is written as {ending}; give the file such a name. [{path}]")
    if os.path.lexists(path):
        raise UsageError(f"The file exists, and is not overwritten; give another name. [{path}]")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"The folder for the document does not exist; create it, or name another. [{path.parent}]")
