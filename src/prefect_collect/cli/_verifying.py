"""The command `verify`: check packages and jobs, without a Prefect server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect_collect.cli._exits import FAILED, OK, error_exit_code
from prefect_collect.cli._output import Output
from prefect_collect.cli._package_verdict import (
    PackageChecks,
    Verdict,
    package_verdict,
    print_findings,
    print_fingerprint,
)
from prefect_collect.cli._places import require_store, store_location
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._run_command import print_error
from prefect_collect.cli._seals import SIGNATURE, TIMESTAMP
from prefect_collect.cli._storage_roots import (
    is_root_file,
    object_places,
    root_of_file,
    root_verdict,
    storage_root_at,
)
from prefect_collect.errors import CollectError, JobNotFound, UsageError
from prefect_collect.pages.text import bytes_text, counted, items
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from prefect_collect.job_folder.folder import JobFolder
    from prefect_collect.verification import JobVerification

_ID: Final = re.compile(r"[0-9a-f]{6}[0-9a-f-]{0,30}")


def verify_all(named: Sequence[str], store: str | None, checks: PackageChecks, *, json: bool) -> int:
    """Run ``verify``, and return the worst exit code. In JSON, one package or job is an object, several are a list.

    An OCFL storage root stands for the objects in it, and for whatever else is in it if there is anything to say of it.
    Left out are signatures and time stamps beside packages, and the files of a storage root that are none of an object.

    Args:
        named: Paths, URLs, and ids (or their beginnings) of jobs in a staging store.
        store: The staging store; None for the default one.
        checks: What packages are checked against beside their own lists.
        json: Whether to print JSON.

    Raises:
        UsageError: What is named alone is no package, a check is given that cannot be one of all, or only what is
            left out is named.
        JobNotFound, StoreError: The same, of a job.
    """
    out = Output(as_json=json)
    judged = [place for place in named if not is_root_file(place)]
    if not judged:
        root_folder = root_of_file(named[0])
        raise UsageError(
            "This is a file of an OCFL storage root, which belongs to no object; name the storage root: "
            f"`prefect-collect verify {root_folder}`. [{named[0]}]"
        )
    roots = {place: None if job_at(place) else storage_root_at(place) for place in judged}
    if len(named) == 1 and roots[named[0]] is None:
        verdict = _verdict(named[0], store, checks, out)
        out.json(verdict.document)
        return verdict.code
    checks.seals.require_many()
    if all(_is_seal(place) for place in judged):
        raise UsageError(
            "These are signatures and time stamps, which are checked with their packages; name the packages. "
            f"[{', '.join(judged[:3])}]"
        )
    verdicts: list[Verdict] = []
    for place in judged:
        root = roots[place]
        places = [] if _is_seal(place) else [place]
        if root is not None:
            places = object_places(place, root)
            if root.problems or root.warnings or not places:
                verdicts.append(_one_of_many(place, partial(root_verdict, place, root, out), out))
        verdicts += [_one_of_many(each, partial(_verdict, each, store, checks, out), out) for each in places]
    out.json([verdict.document for verdict in verdicts])
    _print_sum(out, verdicts)
    return max(verdict.code for verdict in verdicts)


def _is_seal(place: str) -> bool:
    """Return whether a local file is the signature or time stamp beside a package, as ``packages/*`` names it too."""
    beside = (place[: -len(ending)] for ending in (SIGNATURE, TIMESTAMP) if place.endswith(ending))
    return not os.path.isdir(place) and any(os.path.lexists(package) for package in beside)


def _one_of_many(place: str, judge: Callable[[], Verdict], out: Output) -> Verdict:
    """Print and return the verdict on one of several; an error is its own, and the others are verified all the same."""
    out.line(place, style="bold")
    try:
        verdict = judge()
    except CollectError as error:
        print_error(str(error))
        verdict = Verdict(error_exit_code(error), {"location": place, "valid": None, "error": str(error)})
    out.line()
    return verdict


def _print_sum(out: Output, verdicts: Sequence[Verdict]) -> None:
    valid = sum(verdict.code == OK for verdict in verdicts)
    wrong = sum(verdict.code == FAILED and verdict.document["valid"] is not None for verdict in verdicts)
    unread = len(verdicts) - valid - wrong
    out.line(
        f"{len(verdicts):,} verified: {valid:,} valid, {wrong:,} not valid"
        f"{f', {unread:,} could not be verified' if unread else ''}.",
        style="bold",
    )


def _verdict(what: str, store: str | None, checks: PackageChecks, out: Output) -> Verdict:
    """Verify a path, a URL, or the id (or its beginning) of a job in a staging store, and print what was found.

    Raise UsageError if there are checks of packages alone, but it is a job.
    """
    folder = job_at(what) if os.path.lexists(what) else None
    if folder is None and not os.path.lexists(what) and _ID.fullmatch(what.strip().lower()):
        folder = find_folder(what, store)
    if folder is None:
        return package_verdict(what, checks, out)
    if checks.profile is not None:
        raise UsageError(f"--profile is for packages, and this is a job; name the package's path. [{what}]")
    if checks.seals.wanted:
        raise UsageError(f"Packages have signatures and time stamps, and jobs have none. [job={folder.job_id}]")
    if checks.passphrase_from is not None:
        raise UsageError(f"--passphrase-from is for encrypted packages, and this is a job. [job={folder.job_id}]")
    return _job_verdict(folder, out)


def job_at(path: str) -> JobFolder | None:
    """Return the job whose folder that path is; None if it is not the folder of a job."""
    place = os.path.abspath(path)
    if not any(os.path.lexists(os.path.join(place, name)) for name in ("job.json", "custody")):
        return None
    from prefect_collect.job_folder.folder import JobFolder

    parent, name = os.path.split(place)
    return JobFolder(open_store(parent), name)


def find_folder(text: str, store: str | None) -> JobFolder:
    """Return the folder of the only job whose id begins with the text, deleted or not.

    Raise JobNotFound if no job, or more than one, fits; StoreError if the store cannot be read.
    """
    from prefect_collect.job_folder.folder import JobFolder

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


def _job_verdict(folder: JobFolder, out: Output) -> Verdict:
    from prefect_collect.verification import verify_job

    with shown_files("Verifying", by_thread=True) as count:
        found = verify_job(folder, progress=count)
    print_job_verification(out, found)
    return Verdict(OK if found.valid else FAILED, job_json(found))


def job_json(found: JobVerification) -> dict[str, Any]:
    """Return the JSON of ``verify JOB``."""
    values = asdict(found)
    values["problems"] = [asdict(problem) for problem in found.problems]
    values["warnings"] = [asdict(warning) for warning in found.warnings]
    return {"valid": found.valid, **values}


def print_job_verification(out: Output, found: JobVerification) -> None:
    """Print the findings of ``verify JOB``."""
    print_findings(out, found.warnings, found.problems)
    verdict = "Valid" if found.valid else f"Not valid, {counted(len(found.problems), 'problem')}"
    log = f"custody log with {found.entries:,} {'entry' if found.entries == 1 else 'entries'}"
    held = "" if found.deleted else f", {counted(found.files, 'file')}, {items(found.items)}, {bytes_text(found.bytes)}"
    out.line(f"{verdict}: {log}{held}.", style="bold")
    print_fingerprint(out, found.fingerprint, valid=found.valid)
