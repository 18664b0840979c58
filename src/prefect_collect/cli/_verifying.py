"""The command `verify`: check a package or a job, without a Prefect server."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import asdict
from typing import Final
from uuid import UUID

from prefect_collect.cli._exits import FAILED, OK, WRONG_USE
from prefect_collect.cli._output import Output
from prefect_collect.cli._passphrases import known_passphrase
from prefect_collect.cli._places import require_store, store_location
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._run_command import print_error
from prefect_collect.errors import JobNotFound, PackageError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import Problem, Verification, is_encrypted_package, verify
from prefect_collect.pages.text import bytes_text, counted, items
from prefect_collect.stores import open_store
from prefect_collect.verification import JobVerification, verify_job

_SHOWN: Final = 100
_ID: Final = re.compile(r"[0-9a-f]{6}[0-9a-f-]{0,30}")
_OF_PACKAGES: Final = ("bagit.txt", "bag-info.txt", "data", "load-file.json")
_MANIFEST: Final = re.compile(r"(tag)?manifest-.+\.txt")


def verify_anything(what: str, store: str | None, *, passphrase_from: str | None, json: bool) -> int:
    """Run ``verify`` on a path, a URL, or the id (or its beginning) of a job in a staging store."""
    folder = job_at(what) if os.path.lexists(what) else None
    if folder is not None:
        return verify_folder(folder, json=json)
    if not os.path.lexists(what) and _ID.fullmatch(what.strip().lower()):
        return verify_folder(find_folder(what, store), json=json)
    return verify_package(what, passphrase_from, json=json)


def job_at(path: str) -> JobFolder | None:
    """Return the job whose folder that path is; None if it is not the folder of a job."""
    place = os.path.abspath(path)
    if not any(os.path.lexists(os.path.join(place, name)) for name in ("job.json", "custody")):
        return None
    parent, name = os.path.split(place)
    return JobFolder(open_store(parent), name)


def find_folder(text: str, store: str | None) -> JobFolder:
    """Return the folder of the only job whose id begins with the text, deleted or not.

    Raise JobNotFound if no job, or more than one, fits; StoreError if the store cannot be read.
    """
    location = store_location(store)
    require_store(location)
    opened = open_store(location)
    wanted = text.strip().lower()
    with suppress(ValueError):
        wanted = str(UUID(wanted))
    fitting = [name for name in opened.folders() if name.startswith(wanted)]
    if not fitting:
        raise JobNotFound(
            f"There is no such job in the staging store {location}, and no such file; list the jobs with "
            f"`prefect-collect jobs`, or name the job's store with --store. [job={text}]"
        )
    if len(fitting) > 1:
        shown = ", ".join(fitting[:5])
        raise JobNotFound(
            f"{len(fitting)} jobs have an id that begins like this; give more of it: {shown}. [job={text}]"
        )
    return JobFolder(opened, fitting[0])


def verify_folder(folder: JobFolder, *, json: bool) -> int:
    """Verify a job by its folder, print the findings, and return the exit code."""
    out = Output(as_json=json)
    with shown_files("Verifying") as count:
        found = verify_job(folder, progress=count)
    if json:
        out.json(job_json(found))
    else:
        print_job_verification(out, found)
    return OK if found.valid else FAILED


def job_json(found: JobVerification) -> dict[str, object]:
    """Return the JSON of ``verify JOB``."""
    values = asdict(found)
    values["problems"] = [asdict(problem) for problem in found.problems]
    values["warnings"] = [asdict(warning) for warning in found.warnings]
    return {"valid": found.valid, **values}


def print_job_verification(out: Output, found: JobVerification) -> None:
    """Print the findings of ``verify JOB``."""
    _print_findings(out, found.warnings, found.problems)
    verdict = "Valid" if found.valid else f"Not valid, {counted(len(found.problems), 'problem')}"
    log = f"custody log with {found.entries:,} {'entry' if found.entries == 1 else 'entries'}"
    held = "" if found.deleted else f", {counted(found.files, 'file')}, {items(found.items)}, {bytes_text(found.bytes)}"
    out.line(f"{verdict}: {log}{held}.", style="bold")
    if found.fingerprint:
        out.line(f"fingerprint {found.fingerprint}")


def _print_findings(out: Output, warnings: list[Problem], problems: list[Problem]) -> None:
    for style, listed in (("yellow", warnings), ("red", problems)):
        for problem in listed[:_SHOWN]:
            out.line(str(problem), style=style)
        if len(listed) > _SHOWN:
            out.line(f"… and {len(listed) - _SHOWN:,} more (--json lists them)")


def verify_package(path: str, passphrase_from: str | None = None, *, json: bool) -> int:
    """Verify a package, print the findings, and return the exit code."""
    out = Output(as_json=json)
    try:
        _require_package(path)
        passphrase = known_passphrase(passphrase_from, out.say) if is_encrypted_package(path) else None
        with shown_files("Verifying") as count:
            found = verify(path, progress=count, passphrase=passphrase)
    except PackageError as error:
        # There is no package to judge, so the answer is not "Not valid".
        print_error(str(error))
        return WRONG_USE
    if json:
        out.json(verification_json(found))
    else:
        print_verification(out, found)
    return OK if found.valid else FAILED


def _require_package(path: str) -> None:
    """Raise PackageError for a folder without any file of a package: else each of its files would be a problem."""
    if not os.path.isdir(path):
        return
    try:
        names = os.listdir(path)
    except OSError as error:
        raise PackageError(f"The package's folder cannot be read ({error.strerror}). [{path}]") from error
    if not any(name in _OF_PACKAGES or _MANIFEST.fullmatch(name) for name in names):
        raise PackageError(
            "The folder is no package: it has neither bagit.txt nor load-file.json, no manifest and no data folder. "
            f"[{path}]"
        )


def verification_json(found: Verification) -> dict[str, object]:
    """Return the JSON of ``verify PACKAGE``."""
    return {
        "location": found.location,
        "valid": found.valid,
        "problems": [{"path": problem.path, "what": problem.what} for problem in found.problems],
        "warnings": [{"path": warning.path, "what": warning.what} for warning in found.warnings],
        "items": found.items,
        "bytes": found.bytes,
        "not_delivered": found.not_delivered,
        "fingerprint": found.fingerprint,
        "tool": found.tool,
    }


def print_verification(out: Output, found: Verification) -> None:
    """Print the findings of ``verify PACKAGE``."""
    _print_findings(out, found.warnings, found.problems)
    verdict = "Valid" if found.valid else f"Not valid, {counted(len(found.problems), 'problem')}"
    missing = (
        f", {found.not_delivered:,} more of the collection are listed as not delivered" if found.not_delivered else ""
    )
    out.line(f"{verdict}: {items(found.items)}, {bytes_text(found.bytes)}{missing}.", style="bold")
    if found.fingerprint:
        out.line(f"fingerprint {found.fingerprint}")
