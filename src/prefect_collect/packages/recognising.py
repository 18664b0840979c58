"""Tells by the names of a package's files which format it has, before the code of any format is imported."""

from __future__ import annotations

from typing import Final

from prefect_collect.formats import FORMATS, Format
from prefect_collect.packages.contents.index import FileIndex
from prefect_collect.packages.marks import is_own_name, marks_archive
from prefect_collect.packages.ocfl.names import OBJECT, ROOT
from prefect_collect.packages.seals import GROUP_SEAL, SET_SEAL

_SETS: Final[tuple[Format, ...]] = ("loadfile", "mail", "dataset")


def recognised_format(index: FileIndex) -> Format:
    """Return the format of a package by the names of its files; a bag's if they are no package."""
    # An OCFL object is recognised by its own folder alone, and its files may be bags and other packages.
    if _is_ocfl(index):
        return "ocfl"
    if next(index.named("bagit.txt"), None) is not None:
        return "bagit"
    if _is_group(index):
        return "bagit-group"
    return next((name for name in _SETS if _is_set(index, FORMATS[name].description)), "bagit")


def is_foreign(index: FileIndex) -> bool:
    """Return whether there are files, and none in whatever folder is named as one that packages have.

    A package that lost its first file still has others, and so it stays one that is not valid.
    """
    if next(index.named("bagit.txt"), None) is not None:  # so it is nearly always, and need not be looked for
        return False
    is_empty = True
    for name, _ in index.sizes():
        if marks_archive(name):
            return False
        is_empty = False
    return not is_empty


def is_storage_root(index: FileIndex) -> bool:
    """Return whether the files are an OCFL storage root: one declares it, and none beside that is of a package.

    Else a declaration that was added to a package would have only the objects in its folder verified.
    """
    if index.find(ROOT) is None:
        return False
    return not any(is_own_name(name) for name in index.top())


def _is_ocfl(index: FileIndex) -> bool:
    """Return whether the files are a storage root or an object, perhaps in one folder, and not in a bag."""
    if is_storage_root(index):
        return True
    if index.find("bagit.txt") is not None:
        return False
    if index.find(OBJECT) is not None:
        return True
    bases = {name.removesuffix(OBJECT) for name in index.named(OBJECT) if name.count("/") == 1}
    return any(index.find(f"{base}bagit.txt") is None for base in bases)


def _is_group(index: FileIndex) -> bool:
    """Return whether there is a group.json with a seal beside it."""
    description = FORMATS["bagit-group"].description
    names = (name.removesuffix(description) for name in index.named(description))
    return any(index.find(f"{base}{GROUP_SEAL}") is not None for base in names)


def _is_set(index: FileIndex, description: str) -> bool:
    """Return whether there is a file of that name with a manifest beside it, and no bag around it."""
    names = (name.removesuffix(description) for name in index.named(description))
    return any(index.find(f"{base}{SET_SEAL}") is not None and index.find(f"{base}bagit.txt") is None for base in names)
