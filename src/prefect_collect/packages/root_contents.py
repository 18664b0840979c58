"""What is in an OCFL storage root: its objects, at any depth, and what belongs to none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final

from prefect_collect.archive.problems import Damaged, Problem, Problems, shown
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.contents.containers import Container
from prefect_collect.packages.contents.index import FileIndex, temporary_index
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.ocfl.names import ANY_OBJECT, LAYOUT, OBJECT, ROOT, declared
from prefect_collect.packages.problems import Findings
from prefect_collect.packages.recognising import is_storage_root

_EXTENSIONS: Final = "extensions/"
_UNFINISHED: Final = ".tmp/"
"""The folder of the root for files that an export is writing; no store has it as its content."""

_KNOWN: Final = re.compile(r"ocfl_1\.[01]\..+", re.DOTALL)
"""A copy of the specification in the storage root (OCFL 1.1, section 4)."""


@dataclass(frozen=True, slots=True)
class RootContents:
    """The contents of a storage root.

    Attributes:
        objects: The folders of its objects, in order.
        problems: Folders without an object, files between objects, and what cannot be read.
        warnings: Other files in the root itself, which OCFL allows, and no object has.
    """

    objects: list[str]
    problems: list[Problem]
    warnings: list[Problem]


def root_contents(container: Container) -> RootContents | None:
    """Return what is in a storage root; None if the files are none. Raise StoreError, PackageError."""
    findings = Findings()
    with temporary_index() as index:
        container.scan(index, findings)
        index.finish()
        if not is_storage_root(index):
            return None
        found = [*_objects(index)]
        problems, warnings = Problems(), Problems()
        try:
            if BagFiles(container, index, findings).start(ROOT, 100) != declared(ROOT):
                problems.add(ROOT, "it is not the declaration of a storage root")
        except Damaged as error:
            problems.add(ROOT, str(error))
        inside = tuple(shown(folder) for folder in (*found, _EXTENSIONS, _UNFINISHED))
        for problem in findings.problems.finish():
            if not problem.path.startswith(inside):  # the check of the object finds it again
                problems.add(problem.path, problem.what)
        _account(index, frozenset(found), problems, warnings)
    return RootContents([folder.removesuffix("/") for folder in found], problems.finish(), warnings.finish())


def _objects(index: FileIndex) -> Iterator[str]:
    """Yield the folders that a file declares to be objects, in order, without those inside another object."""
    rows = index.query("SELECT name FROM file WHERE instr(name, CAST(? AS BLOB)) > 0", f"/{ANY_OBJECT}")
    parted = (unpack(name).rpartition("/") for (name,) in rows)
    last = ""
    for folder in sorted(f"{folder}/" for folder, _, name in parted if name.startswith(ANY_OBJECT)):
        if not folder.startswith((last or "/", _EXTENSIONS, _UNFINISHED)):
            last = folder
            yield folder


def _account(index: FileIndex, objects: Set[str], problems: Problems, warnings: Problems) -> None:
    """Add what belongs to no object: each highest folder without objects once, and single files."""
    above = {parent for folder in objects for parent in _folders_of(folder)} - objects
    reported: set[str] = set()
    for name, _ in index.sizes():
        place = next((folder for folder in _folders_of(name) if folder not in above), name)
        if place in objects or place in above or place in reported or place == _EXTENSIONS:
            continue
        if place == _UNFINISHED:
            warnings.add(place, "it has files that an export did not finish, or is writing")
        elif place.endswith("/"):
            problems.add(place, f"no object is declared in it by a file {OBJECT}, so that nothing in it was verified")
        elif "/" in place:
            problems.add(place, "it is in a folder above objects, where OCFL allows no files; it was not verified")
        elif place not in (ROOT, LAYOUT) and not _KNOWN.fullmatch(place):
            warnings.add(place, "it belongs to no object, and was not verified")
        reported.add(place)


def _folders_of(name: str) -> Iterator[str]:
    """Yield the folders of a path from the highest one on, with a path that ends in "/" itself."""
    at = name.find("/")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("/", at + 1)
