"""OCFL storage roots: `verify` takes each of their objects as a package, and accounts for whatever else is in them."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect_collect.cli._exits import FAILED, OK
from prefect_collect.cli._output import Output
from prefect_collect.cli._package_verdict import Verdict, print_findings
from prefect_collect.errors import CollectError, UsageError
from prefect_collect.packages.ocfl.names import LAYOUT, ROOT
from prefect_collect.pages.text import counted
from prefect_collect.stores import DirectoryStore, open_store

if TYPE_CHECKING:
    from prefect_collect.packages.root_contents import RootContents


def storage_root_at(place: str) -> RootContents | None:
    """Return what is in a storage root, by its path or URL; None if the place is no storage root."""
    try:
        store = open_store(place.rstrip("/") or "/")
        store.stat(ROOT)
        from prefect_collect.packages.contents.containers import FolderContainer, StoreContainer
        from prefect_collect.packages.root_contents import root_contents

        if isinstance(store, DirectoryStore):
            return root_contents(FolderContainer(str(store.root)))
        return root_contents(StoreContainer(store, ""))
    except CollectError:  # also for what cannot be read: the check of the package says why
        return None


def is_root_file(place: str) -> bool:
    """Return whether a local file declares or describes a storage root, as ``root/*`` names it beside the objects."""
    folder, name = os.path.split(place)
    return name in (ROOT, LAYOUT) and os.path.isfile(place) and os.path.isfile(os.path.join(folder, ROOT))


def root_of_file(place: str) -> str:
    """Return the folder of a storage root in which such a file is."""
    return os.path.dirname(place) or "."


def object_places(place: str, root: RootContents) -> list[str]:
    """Return the paths or URLs of the objects in a storage root."""
    return [f"{place.rstrip('/')}/{folder}" for folder in root.objects]


def root_verdict(place: str, root: RootContents, out: Output) -> Verdict:
    """Print what is wrong with a storage root beside its objects, and return the verdict on it.

    Raise UsageError if there is nothing in it, so that nothing was verified.
    """
    if not root.objects and not root.problems:
        raise UsageError(f"The OCFL storage root has no objects, so there is nothing to verify. [{place}]")
    print_findings(out, root.warnings, root.problems)
    verdict = f"Not valid, {counted(len(root.problems), 'problem')}" if root.problems else "Valid"
    out.line(f"{verdict}: a storage root with {counted(len(root.objects), 'object')}.", style="bold")
    document = {
        "location": place,
        "valid": not root.problems,
        "problems": [asdict(problem) for problem in root.problems],
        "warnings": [asdict(warning) for warning in root.warnings],
        "objects": len(root.objects),
    }
    return Verdict(FAILED if root.problems else OK, document)
