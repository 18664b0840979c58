"""The command that checks a package: without Prefect, wherever the package lies."""

from __future__ import annotations

import os
import re
from typing import Final

from prefect_collect.cli._exits import FAILED, OK, WRONG_USE
from prefect_collect.cli._output import Output, printable
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._running import print_error
from prefect_collect.cli._words import counted, items
from prefect_collect.errors import PackageError
from prefect_collect.packages import Verification, verify
from prefect_collect.pages import bytes_text

_SHOWN: Final = 100
_MANIFEST: Final = re.compile(r"(tag)?manifest-[a-z0-9]+\.txt")


def verify_package(path: str, *, json: bool) -> int:
    """Run ``verify``."""
    out = Output(as_json=json)
    try:
        _require_bag(path)
        with shown_files("Verifying") as count:
            found = verify(path, progress=count)
    except PackageError as error:
        # Nothing was found out about a package: that is no "not valid".
        print_error(str(error))
        return WRONG_USE
    if json:
        out.json(verification_json(found))
    else:
        print_verification(out, found)
    return OK if found.valid else FAILED


def _require_bag(path: str) -> None:
    """Raise PackageError if it is a folder that has nothing of a bag, of which every file would be a problem."""
    if not os.path.isdir(path):
        return
    names = os.listdir(path)
    if not any(name in ("bagit.txt", "bag-info.txt", "data") or _MANIFEST.fullmatch(name) for name in names):
        raise PackageError(f"This folder is no bag: it has no bagit.txt, no manifest and no data folder. [{path}]")


def verification_json(found: Verification) -> dict[str, object]:
    """What ``verify --json`` prints."""
    return {
        "location": found.location,
        "valid": found.valid,
        "problems": [{"path": problem.path, "what": problem.what} for problem in found.problems],
        "items": found.items,
        "bytes": found.bytes,
        "not_delivered": found.not_delivered,
        "fingerprint": found.fingerprint,
        "tool": found.tool,
    }


def print_verification(out: Output, found: Verification) -> None:
    """What ``verify`` prints for people."""
    for problem in found.problems[:_SHOWN]:
        out.line(printable(str(problem)), style="red")
    if len(found.problems) > _SHOWN:
        out.line(f"… and {len(found.problems) - _SHOWN:,} more (--json lists them)")
    said = "Valid" if found.valid else f"Not valid, {counted(len(found.problems), 'problem')}"
    missing = (
        f", {found.not_delivered:,} more of the collection are not in it, and are listed" if found.not_delivered else ""
    )
    out.line(f"{said}: {items(found.items)}, {bytes_text(found.bytes)}{missing}.", style="bold")
    if found.fingerprint:
        out.line(f"fingerprint {found.fingerprint}")
