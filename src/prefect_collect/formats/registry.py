"""The registry of package formats: what is said of each, and which options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect_collect.errors import UsageError

Format = Literal["bagit", "directory", "bagit-tar", "bagit-tar-zst", "bagit-group", "loadfile", "loadfile-directory"]
"""The name of a package format, a key of `FORMATS`."""


@dataclass(frozen=True)
class FormatFacts:
    """What is said of a package format, in forms, help, console and docs.

    Attributes:
        title: A short title.
        words: A description of such a package.
        suffix: The suffix of the package's key at the destination, after its base folder.
        is_folder: True if the package is many files below that key, False if it is one file.
        options: The parameters of an export that only some formats take, and this one does.
        list_name: The file of the package that lists what is not delivered.
        undelivered: What becomes of an item that cannot be delivered.
    """

    title: str
    words: str
    suffix: str = ""
    is_folder: bool = False
    options: frozenset[str] = frozenset()
    list_name: str = "items.csv"
    undelivered: str = ""


_OF_BAGS: Final = frozenset({"sha512", "portable_names", "bag"})
_IN_BAGS: Final = "The bag is complete without it: items.csv and items.parquet list it with its error code."
_OF_LOAD_FILES: Final = frozenset({"load_file"})
_IN_LOAD_FILES: Final = "EXCEPTIONS.csv lists it with its error code, and its control number is kept for it."

FORMATS: Final[Mapping[Format, FormatFacts]] = {
    "bagit": FormatFacts(
        "One ZIP file", "an RFC 8493 bag as one ZIP file", suffix=".zip", options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "directory": FormatFacts(
        "A folder", "the same bag unpacked", is_folder=True, options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "bagit-tar": FormatFacts(
        "One TAR file", "the same bag as one TAR file", suffix=".tar", options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "bagit-tar-zst": FormatFacts(
        "One TAR file, compressed",
        "the same bag as one TAR file, compressed with Zstandard",
        suffix=".tar.zst",
        options=_OF_BAGS,
        undelivered=_IN_BAGS,
    ),
    "bagit-group": FormatFacts(
        "A group of bags",
        "bags of at most a size each, as ZIP or TAR files, in one folder with one list over all",
        is_folder=True,
        options=_OF_BAGS,
        undelivered=_IN_BAGS,
    ),
    "loadfile": FormatFacts(
        "A load file",
        "a load file for review platforms, with natives and text, as one ZIP file",
        suffix=".zip",
        options=_OF_LOAD_FILES,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_LOAD_FILES,
    ),
    "loadfile-directory": FormatFacts(
        "A load file in a folder",
        "the same unpacked",
        is_folder=True,
        options=_OF_LOAD_FILES,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_LOAD_FILES,
    ),
}
"""What is said of each format."""

FORMAT_WORDS: Final = "; ".join(f'"{name}": {one.words}' for name, one in FORMATS.items()) + "."
"""The descriptions of all formats, for forms and help."""


_SAID: Final = {"load_file": "load_file (prefix, profile and the like)", "bag": "bag (tags and a BagIt profile)"}
"""How a parameter is named to a user of the command line or a form, where its fields are options of their own."""


def fitting_options(format: Format, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an export without those that only other formats take."""
    foreign = {name for one in FORMATS.values() for name in one.options} - FORMATS[format].options
    return {name: value for name, value in given.items() if name not in foreign}


def require_options(format: str, given: Mapping[str, object]) -> None:
    """Raise UsageError if a parameter is given (is true) that the format does not take.

    Args:
        format: A key of `FORMATS`.
        given: The values of parameters that only some formats take, by their names.
    """
    facts = FORMATS.get(format)  # type: ignore[call-overload]
    if facts is None:
        raise UsageError(f"There is no such format of packages; there are {', '.join(FORMATS)}. [format={format}]")
    for name, value in given.items():
        if value and name not in facts.options:
            fitting = ", ".join(other for other, one in FORMATS.items() if name in one.options)
            said = _SAID.get(name, name)
            raise UsageError(
                f"{said} is no option of this format; leave it out, or export as {fitting}. [format={format}]"
            )
