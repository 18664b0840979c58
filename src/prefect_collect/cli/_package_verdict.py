"""The verdict on one package: what `verify` and `sign` find of it, as text and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._exits import FAILED, OK
from prefect_collect.cli._passphrases import known_passphrase
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._seals import SIGNATURE, Seals
from prefect_collect.errors import PackageError, UsageError
from prefect_collect.packages import Problem, Verification, is_encrypted_package, verify
from prefect_collect.packages.marks import DESCRIPTIONS, ENDINGS, marks_folder
from prefect_collect.pages.text import be, bytes_text, counted, items

if TYPE_CHECKING:
    from prefect_collect.cli._output import Output

_SHOWN: Final = 100
_THREADS: Final = "OPENBLAS_NUM_THREADS"
"""The variable of numpy's threads, which are unused here and would keep the process from forking."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a package or a job: the exit code, and the JSON."""

    code: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PackageChecks:
    """What a package is checked against beside its own lists.

    Attributes:
        seals: Its signature and time stamp.
        profile: The file of a BagIt profile; None for none.
        passphrase_from: The Secret block with the passphrase of an encrypted package; None to ask for it.
    """

    seals: Seals = field(default_factory=Seals)
    profile: str | None = None
    passphrase_from: str | None = None


def package_verdict(path: str, checks: PackageChecks, out: Output) -> Verdict:
    """Verify a package, by its own lists and by `checks`, and print the findings.

    Raise UsageError if there is no package to judge, so that the answer is not "Not valid".
    """
    os.environ.setdefault(_THREADS, "1")
    seals = checks.seals
    profile = None
    if checks.profile is not None:
        from prefect_collect.cli._format_options import bag_profile_text

        profile = bag_profile_text(checks.profile)
    with no_package():
        require_package(path)
        seals.require_files(path)
        encrypted = is_encrypted_package(path)
        passphrase = None
        if encrypted:
            from prefect_collect.packages.contents.encrypted import require_pyzipper

            require_pyzipper()
            passphrase = known_passphrase(checks.passphrase_from, out.say)
        with shown_files("Verifying", by_thread=encrypted or "://" in path) as count:
            found = verify(path, progress=count, passphrase=passphrase, profile=profile)
    checked = seals.check(path, found.fingerprint)
    print_verification(out, found)
    for seal in checked:
        out.line(f"{'' if seal.valid else 'problem: '}{seal.name}: {seal.what}", style="" if seal.valid else "red")
    for left in seals.unchecked(path):
        option = "--public-key" if left.suffix == SIGNATURE else "--trusted-root"
        out.line(f"{left}: not checked; {option} names what checks it")
    document = {**verification_json(found), **({"seals": [asdict(seal) for seal in checked]} if checked else {})}
    return Verdict(OK if found.valid and all(seal.valid for seal in checked) else FAILED, document)


@contextmanager
def no_package() -> Iterator[None]:
    """Raise UsageError in place of PackageError: what was named is no package, or cannot be read."""
    try:
        yield
    except PackageError as error:
        raise UsageError(str(error)) from error


def require_package(path: str) -> None:
    """Raise PackageError for a folder without any file of a package: else each of its files would be a problem."""
    if not os.path.isdir(path):
        return
    try:
        with os.scandir(path) as entries:
            names = [f"{entry.name}/" if _is_folder(entry) else entry.name for entry in entries]
    except OSError as error:
        raise PackageError(f"The package's folder cannot be read ({error.strerror}). [{path}]") from error
    if any(marks_folder(name) for name in names):
        return
    inside = sorted(name.rstrip("/") for name in names if _is_package_in(path, name))
    if inside:
        more = f" and {len(inside) - 1:,} more" if len(inside) > 1 else ""
        raise PackageError(
            f"The folder is no package, but what is in it may be: {inside[0]}{more}. Verify each: `prefect-collect "
            f"verify {os.path.join(path, '*')}`. [{path}]"
        )
    raise PackageError(
        f"The folder is no package: it has neither {', '.join(DESCRIPTIONS[:-1])} nor {DESCRIPTIONS[-1]}, no "
        f"manifest and no data folder. [{path}]"
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a folder is a folder, or a link to one; a link that cannot be followed is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_package_in(path: str, name: str) -> bool:
    """Return whether an entry of a folder looks like a package: by its name, or by the first file of its format."""
    place = os.path.join(path, name)
    if name.lower().endswith(ENDINGS):
        return os.path.isfile(place)
    return any(os.path.isfile(os.path.join(place, described)) for described in DESCRIPTIONS)


def verification_json(found: Verification) -> dict[str, Any]:
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
    print_findings(out, found.warnings, found.problems)
    verdict = "Valid" if found.valid else f"Not valid, {counted(len(found.problems), 'problem')}"
    lacking, missing = found.not_delivered, ""
    if lacking:
        missing = f", {lacking:,} more of the collection {be(lacking)} listed as failed, skipped or not attempted"
    out.line(f"{verdict}: {items(found.items)}, {bytes_text(found.bytes)}{missing}.", style="bold")
    print_fingerprint(out, found.fingerprint, valid=found.valid)


def print_findings(out: Output, warnings: Sequence[Problem], problems: Sequence[Problem]) -> None:
    """Print what was found, each with what it is: a warning, or a problem, which makes it not valid."""
    for label, style, listed in (("warning", "yellow", warnings), ("problem", "red", problems)):
        for found in listed[:_SHOWN]:
            out.line(f"{label}: {found}", style=style)
        if len(listed) > _SHOWN:
            out.line(f"… and {counted(len(listed) - _SHOWN, label)} more (--json lists them)")


def print_fingerprint(out: Output, fingerprint: str, *, valid: bool) -> None:
    """Print a fingerprint; that of what is not valid is only stated, and proves nothing."""
    if fingerprint and valid:
        out.line(f"fingerprint {fingerprint}")
    elif fingerprint:
        out.line(f"stated fingerprint {fingerprint} (it proves nothing, as not all that it covers is right)")
