"""The registry of package formats: what is said of each, and which options it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.formats.options import FormatOptions

Format = Literal[
    "bagit",
    "directory",
    "bagit-tar",
    "bagit-tar-zst",
    "bagit-group",
    "loadfile",
    "loadfile-directory",
    "mail",
    "mail-directory",
    "dataset",
    "dataset-directory",
    "ocfl",
]
"""The name of a package format, a key of `FORMATS`."""


@dataclass(frozen=True)
class FormatFacts:
    """What is said of a package format, in forms, help, console and docs.

    Attributes:
        title: A short title.
        words: A description of such a package.
        description: The file in the package's folder that describes the package, by which it is recognised.
        suffix: The suffix of the package's key at the destination, after its base folder.
        is_folder: True if the package is many files below that key, False if it is one file.
        options: The parameters of an export that only some formats take, and this one does.
        list_name: The file of the package that lists what is not delivered.
        undelivered: What becomes of an item that cannot be delivered.
        sources: The kinds of sources whose collections it can be made of; empty for all.
        not_sources: The kinds of sources whose collections it cannot be made of.
        whole: True if a package is of a whole source, so that one of a part of it is not made.
        grows: True if exports of the same data source add to one package, which is named after the source.
    """

    title: str
    words: str
    description: str = "bagit.txt"
    suffix: str = ""
    is_folder: bool = False
    options: frozenset[str] = frozenset()
    list_name: str = "items.csv"
    undelivered: str = ""
    sources: frozenset[str] = frozenset()
    not_sources: frozenset[str] = frozenset()
    whole: bool = False
    grows: bool = False


CUSTODY_DOCUMENTS: Final = ("chain-of-custody.json", "chain-of-custody.html", "chain-of-custody.pdf")
"""The files of the chain of custody document in a package of any format."""

_OF_BAGS: Final = frozenset({"sha512", "portable_names", "bag", "deduplicate"})
_IN_BAGS: Final = "The bag is complete without it: items.csv and items.parquet list it with its error code."
_OF_LOAD_FILES: Final = frozenset({"load_file", "deduplicate"})
_IN_LOAD_FILES: Final = "EXCEPTIONS.csv lists it with its error code, and its control number is kept for it."
_OF_MAIL: Final = frozenset({"mail", "deduplicate"})
_OF_DATASETS: Final = frozenset({"dataset"})
_OF_OCFL: Final = frozenset({"deduplicate"})
_IN_SETS: Final = "EXCEPTIONS.csv lists it with its error code."
_DATABASES: Final = frozenset({"sql-source"})
_WITHOUT_MAIL: Final = _DATABASES | {"slack-export-source"}

FORMATS: Final[Mapping[Format, FormatFacts]] = {
    "bagit": FormatFacts(
        "One ZIP file", "an RFC 8493 bag as one ZIP file", suffix=".zip", options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "directory": FormatFacts(
        "A folder", "an RFC 8493 bag as a folder", is_folder=True, options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "bagit-tar": FormatFacts(
        "One TAR file", "an RFC 8493 bag as one TAR file", suffix=".tar", options=_OF_BAGS, undelivered=_IN_BAGS
    ),
    "bagit-tar-zst": FormatFacts(
        "One TAR file, compressed",
        "an RFC 8493 bag as one TAR file, compressed with Zstandard",
        suffix=".tar.zst",
        options=_OF_BAGS,
        undelivered=_IN_BAGS,
    ),
    "bagit-group": FormatFacts(
        "A group of bags",
        "bags of limited size, as ZIP or TAR files, in one folder with one list over all",
        description="group.json",
        is_folder=True,
        options=_OF_BAGS,
        undelivered=_IN_BAGS,
    ),
    "loadfile": FormatFacts(
        "A load file",
        "a load file for review platforms, with natives and text, as one ZIP file",
        description="load-file.json",
        suffix=".zip",
        options=_OF_LOAD_FILES,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_LOAD_FILES,
    ),
    "loadfile-directory": FormatFacts(
        "A load file in a folder",
        "a load file for review platforms, with natives and text, as a folder",
        description="load-file.json",
        is_folder=True,
        options=_OF_LOAD_FILES,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_LOAD_FILES,
    ),
    "mail": FormatFacts(
        "Mail",
        "messages as mbox or EML files with an index, as one ZIP file",
        description="mail.json",
        suffix=".zip",
        options=_OF_MAIL,
        not_sources=_WITHOUT_MAIL,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_SETS,
    ),
    "mail-directory": FormatFacts(
        "Mail in a folder",
        "messages as mbox or EML files with an index, as a folder",
        description="mail.json",
        is_folder=True,
        options=_OF_MAIL,
        not_sources=_WITHOUT_MAIL,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_SETS,
    ),
    "dataset": FormatFacts(
        "A dataset",
        "the tables of a database as Parquet or CSV, as one ZIP file",
        description="dataset.json",
        suffix=".zip",
        options=_OF_DATASETS,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_SETS,
        sources=_DATABASES,
        whole=True,
    ),
    "dataset-directory": FormatFacts(
        "A dataset in a folder",
        "the tables of a database as Parquet or CSV, as a folder",
        description="dataset.json",
        is_folder=True,
        options=_OF_DATASETS,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_SETS,
        sources=_DATABASES,
        whole=True,
    ),
    "ocfl": FormatFacts(
        "An OCFL object",
        "a version of the source's OCFL 1.1 object, which shares unchanged files with earlier ones",
        description="0=ocfl_object_1.1",
        is_folder=True,
        options=_OF_OCFL,
        list_name="EXCEPTIONS.csv",
        undelivered=_IN_SETS,
        whole=True,
        grows=True,
    ),
}
"""What is said of each format."""

FORMAT_WORDS: Final = "; ".join(f'"{name}": {one.words}' for name, one in FORMATS.items()) + "."
"""The descriptions of all formats, for forms and help."""

OPTION_GROUPS: Final[Mapping[str, type[FormatOptions]]] = {
    group.parameter: group for group in (BagOptions, LoadFile, MailSet, Dataset)
}
"""The options that only some formats take, by the parameter of an export that carries them."""

LIMITED: Final = ("sha512", "portable_names", "deduplicate", *OPTION_GROUPS)
"""All parameters of an export that only some formats take."""


def parsed_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an export's parameters that are in `OPTION_GROUPS` and are not None, parsed. Raise UsageError."""
    return {name: group.of(value) for name, group in OPTION_GROUPS.items() if (value := given.get(name)) is not None}


def options_json(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an export's parameters that are in `OPTION_GROUPS` and are not None, as JSON. Raise UsageError.

    The others are left out, because deployments of earlier versions do not know them.
    """
    return {name: options.to_json() for name, options in parsed_options(given).items()}


def grouped_options(format: str, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return fields that users gave one by one, in the groups that carry them; those that are None are left out.

    A field that no group of the format has goes into the group that has it, which `require_options` then refuses.
    """
    facts = FORMATS.get(format)  # type: ignore[call-overload]
    taken = [name for name in OPTION_GROUPS if facts is not None and name in facts.options]
    made: dict[str, dict[str, Any]] = {}
    for field, value in given.items():
        if value is not None:
            order = (*taken, *OPTION_GROUPS)
            group = next(name for name in order if field in OPTION_GROUPS[name].option_names())
            made.setdefault(group, {})[OPTION_GROUPS[group].option_names()[field]] = value
    return made


def fitting_options(
    format: Format, present: Mapping[str, Any], changed: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the parameters of an export that can stay if it gets this format, and the changed fields of options.

    Those that the format does not take are left out, as are fields of `OPTION_GROUPS` that contradict it or a change.
    """
    foreign = {name for one in FORMATS.values() for name in one.options} - FORMATS[format].options
    return {
        name: OPTION_GROUPS[name].fitting(value, format, changed.get(name, {}))
        if name in OPTION_GROUPS and isinstance(value, Mapping)
        else value
        for name, value in present.items()
        if name not in foreign
    }


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
            said = _said(name)
            raise UsageError(
                f"{said} is no option of this format; leave it out, or export as {fitting}. [format={format}]"
            )
        if isinstance(value, FormatOptions):
            value.require_format(format)


def require_source(format: Format, source: Mapping[str, Any]) -> None:
    """Raise UsageError if the format cannot be made of a collection from this source (`JobRecord.source`)."""
    facts, kind = FORMATS[format], str(source.get("type") or "")
    fitting = ", ".join(
        name
        for name, one in FORMATS.items()
        if kind not in one.not_sources and (not one.sources or kind in one.sources)
    )
    if kind in facts.not_sources:
        raise UsageError(
            f"{facts.title} cannot be made of a collection from {kind}, which has none of its items; export it as "
            f"{fitting}. [format={format}]"
        )
    if facts.sources and kind and kind not in facts.sources:
        raise UsageError(
            f"{facts.title} is made of a collection from {' or '.join(sorted(facts.sources))}, and this one is from "
            f"{kind}; export it as {fitting}. [format={format}]"
        )


def _said(name: str) -> str:
    """Return how a parameter is named to users of the command line or a form, where its fields are options."""
    if name not in OPTION_GROUPS:
        return name
    return f"{name} ({', '.join([*OPTION_GROUPS[name].option_names()][:2])} and the like)"
