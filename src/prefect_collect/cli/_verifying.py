"""The command `verify`: check a package or a job, without a Prefect server."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect_collect.cli._exits import FAILED, OK, WRONG_USE
from prefect_collect.cli._output import Output
from prefect_collect.cli._passphrases import known_passphrase
from prefect_collect.cli._places import require_store, store_location
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._run_command import print_error
from prefect_collect.cli._seals import SIGNATURE, Seals
from prefect_collect.errors import JobNotFound, PackageError, UsageError
from prefect_collect.formats import FORMATS
from prefect_collect.packages import Problem, Verification, is_encrypted_package, verify
from prefect_collect.pages.text import bytes_text, counted, items
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from prefect_collect.job_folder.folder import JobFolder
    from prefect_collect.verification import JobVerification

_SHOWN: Final = 100
_THREADS: Final = "OPENBLAS_NUM_THREADS"
"""The variable of numpy's threads, which are unused here and would keep the process from forking."""

_ID: Final = re.compile(r"[0-9a-f]{6}[0-9a-f-]{0,30}")
_DESCRIPTIONS: Final = tuple(dict.fromkeys(facts.description for facts in FORMATS.values()))
_OF_PACKAGES: Final = (*_DESCRIPTIONS, "bag-info.txt", "data", "0=ocfl_1.1")
_MANIFEST: Final = re.compile(r"(tag)?manifest-.+\.txt")


@dataclass(frozen=True, slots=True)
class PackageChecks:
    """What a package is held to beside itself.

    Attributes:
        seals: Its signature and time stamp.
        profile: The file of a BagIt profile; None for none.
        passphrase_from: The Secret block with the passphrase of an encrypted package; None to ask for it.
    """

    seals: Seals = field(default_factory=Seals)
    profile: str | None = None
    passphrase_from: str | None = None


def verify_anything(what: str, store: str | None, checks: PackageChecks, *, json: bool) -> int:
    """Run ``verify`` on a path, a URL, or the id (or its beginning) of a job in a staging store.

    Raise UsageError if there are checks of packages alone, but it is a job.
    """
    folder = job_at(what) if os.path.lexists(what) else None
    if folder is None and not os.path.lexists(what) and _ID.fullmatch(what.strip().lower()):
        folder = find_folder(what, store)
    if folder is None:
        return verify_package(what, checks, json=json)
    if checks.profile is not None:
        raise UsageError(f"--profile is for packages, and this is a job; name the package's path. [{what}]")
    if checks.seals.wanted:
        raise UsageError(f"Packages have signatures and time stamps, and jobs have none. [job={folder.job_id}]")
    if checks.passphrase_from is not None:
        raise UsageError(f"--passphrase-from is for encrypted packages, and this is a job. [job={folder.job_id}]")
    return verify_folder(folder, json=json)


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


def verify_folder(folder: JobFolder, *, json: bool) -> int:
    """Verify a job by its folder, print the findings, and return the exit code."""
    from prefect_collect.verification import verify_job

    out = Output(as_json=json)
    with shown_files("Verifying", by_thread=True) as count:
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


def verify_package(path: str, checks: PackageChecks | None = None, *, json: bool) -> int:
    """Verify a package and what it is held to beside itself, print the findings, and return the exit code."""
    os.environ.setdefault(_THREADS, "1")
    checks = checks or PackageChecks()
    seals = checks.seals
    out = Output(as_json=json)
    profile = None
    if checks.profile is not None:
        from prefect_collect.cli._format_options import bag_profile_text

        profile = bag_profile_text(checks.profile)
    try:
        require_package(path)
        seals.require_files(path)
        encrypted = is_encrypted_package(path)
        passphrase = known_passphrase(checks.passphrase_from, out.say) if encrypted else None
        with shown_files("Verifying", by_thread=encrypted or "://" in path) as count:
            found = verify(path, progress=count, passphrase=passphrase, profile=profile)
    except PackageError as error:
        # There is no package to judge, so the answer is not "Not valid".
        print_error(str(error))
        return WRONG_USE
    checked = seals.check(path, found.fingerprint)
    if json:
        out.json({**verification_json(found), **({"seals": [asdict(seal) for seal in checked]} if checked else {})})
    else:
        print_verification(out, found)
        for seal in checked:
            out.line(f"{seal.name}: {seal.what}", style="" if seal.valid else "red")
        for left in seals.unchecked(path):
            option = "--public-key" if left.suffix == SIGNATURE else "--trusted-root"
            out.line(f"{left}: not checked; {option} names what checks it")
    return OK if found.valid and all(seal.valid for seal in checked) else FAILED


def require_package(path: str) -> None:
    """Raise PackageError for a folder without any file of a package: else each of its files would be a problem."""
    if not os.path.isdir(path):
        return
    try:
        names = os.listdir(path)
    except OSError as error:
        raise PackageError(f"The package's folder cannot be read ({error.strerror}). [{path}]") from error
    if not any(name in _OF_PACKAGES or _MANIFEST.fullmatch(name) for name in names):
        raise PackageError(
            f"The folder is no package: it has neither {', '.join(_DESCRIPTIONS[:-1])} nor {_DESCRIPTIONS[-1]}, no "
            f"manifest and no data folder. [{path}]"
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
