"""The names of files by which a package is recognised among other folders and archives, before any of them is read.

What lost some of its files has others, and so it stays a package, which is not valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prefect_collect.formats import FORMATS
from prefect_collect.formats.registry import CUSTODY_DOCUMENTS
from prefect_collect.packages.ocfl.names import ANY_OBJECT, DESCRIPTION, ROOT, SIDECAR
from prefect_collect.packages.seals import GROUP_SEAL

DESCRIPTIONS: Final = tuple(dict.fromkeys(facts.description for facts in FORMATS.values()))
"""The files that describe a package, one of which each format has."""

ENDINGS: Final = (".zip", ".tar", ".zst")
"""How the names of packages end that are one file."""

_OWN: Final = (*DESCRIPTIONS, GROUP_SEAL, "bag-info.txt", "package-info.txt")
_LISTS: Final = (
    *dict.fromkeys(facts.list_name for facts in FORMATS.values()), *CUSTODY_DOCUMENTS, DESCRIPTION, SIDECAR,
    "items.parquet", "fetch.txt",
)  # fmt: skip
"""Files of packages whose names other folders have too: lists, documents that are also kept beside packages, and what
OCFL objects of any version have."""


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


_OWN_NAME: Final = rf"{_any_of(_OWN)}|(?:tag)?manifest-[^/\\]+\.txt"
_OF_PACKAGES: Final = re.compile(rf"{_OWN_NAME}|{re.escape(ANY_OBJECT)}[^/\\]+", re.IGNORECASE)
_IN_FOLDERS: Final = re.compile(rf"{_OWN_NAME}|{re.escape(ROOT)}|data/", re.IGNORECASE)
_IN_ARCHIVES: Final = re.compile(
    rf"(?:^|[/\\])(?:{_OWN_NAME}|0=ocfl_[^/\\]+|{_any_of(_LISTS)})\Z|^(?:[^/\\]+[/\\])?data[/\\]", re.IGNORECASE
)


def is_own_name(name: str) -> bool:
    """Return whether a file's name is one that packages have, and no storage root has."""
    return _OF_PACKAGES.fullmatch(name) is not None


def marks_folder(name: str) -> bool:
    """Return whether a name in a folder marks it as a package or storage root; folders' names end in a slash.

    Lists and documents do not: a folder may have them of its own, or beside the packages that are in it. Neither does
    the declaration of another version of OCFL, whose objects may be valid and cannot be verified.
    """
    return _IN_FOLDERS.fullmatch(name) is not None


def marks_archive(path: str) -> bool:
    """Return whether the path of a file in an archive marks it as a package, at whatever depth.

    Lists and documents do too, as an archive is made of one thing.
    """
    return _IN_ARCHIVES.search(path) is not None
