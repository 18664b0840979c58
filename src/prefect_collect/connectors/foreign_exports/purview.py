"""The layout of Microsoft Purview's eDiscovery exports.

https://learn.microsoft.com/purview/edisc-search-export and https://learn.microsoft.com/purview/edisc-process-report
name the files: ZIP files (or folders) with the items, as PST files or one by one, and reports: ``Items.csv`` (earlier
``Results.csv``), of a review set ``Export_load_file.csv``, with a row for each item, and lists of warnings and errors.
The columns are those of https://learn.microsoft.com/purview/edisc-ref-document-metadata-fields and of its earlier form,
https://learn.microsoft.com/purview/ediscovery-document-metadata-fields: ``Export_native_path`` (earlier ``Target
Path``) is where an item lies in the export, ``Native_SHA_256`` and ``Native_MD5`` are hashes of its file, and
``Extracted_text_path`` is its text. Columns are found whatever the case and the signs between their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.foreign_exports.documents import Document, NotExported, base_name
from prefect_collect.connectors.foreign_exports.edrm_xml import document
from prefect_collect.connectors.foreign_exports.layout import Format, Reports
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.foreign_exports.tables import failures, rows

_ITEMS: Final = re.compile(r"(?:.*[-_ .])?(?:items|results|load[-_ ]?file)(?:[-_ .]?\d+)?\.csv", re.IGNORECASE)
_ERRORS: Final = re.compile(r"(?:.*[-_ .])?(?:warnings and )?errors?(?:[-_ .]?\d+)?\.csv", re.IGNORECASE)
_PATHS: Final = ("exportnativepath", "targetpath", "exportpath", "exportitempath")
_TEXTS: Final = ("extractedtextpath",)
_HASHES: Final = {"nativesha256": ("sha256", 64), "nativemd5": ("md5", 32)}
_FAILURES: Final = ("exporterror", "exporterrormessage", "errormessage", "errordetails", "error")
_NAMES: Final = ("fileid", "itemidentity", "itemid", "documentid", "subjectortitle")
_PST: Final = re.compile(r"(.*?\.pst)/.*", re.IGNORECASE | re.DOTALL)
"""What lies in a PST file is not looked for: the PST file is."""

_SIGNS: Final = re.compile(r"[^a-z0-9]")


def _read_list(file: File, lists: Lists) -> Reports | None:
    name = base_name(file.item.path)
    if _ERRORS.fullmatch(name) is not None:
        return failures(file.stream())
    if _ITEMS.fullmatch(name) is None:
        return None
    table = rows(file.stream())
    first = next(table, None)
    if first is None or not {*_PATHS} & {_plain(column) for column in first}:
        return None  # another table that has this name by chance
    return _kept(chain([first], table), lists, file.item.path)


def _kept(table: Iterator[dict[str, str]], lists: Lists, path: str) -> Reports:
    """Add the files that the rows name; yield what was not exported, also if the table cannot be read to its end."""
    failed: list[NotExported] = []
    try:
        lists.add(_documents(table, failed), path)
    finally:
        yield from failed


def _documents(table: Iterator[dict[str, str]], failed: list[NotExported]) -> Iterator[Document]:
    """Yield the files that the rows name; what was not exported is appended to `failed`."""
    files_of_messages: set[str] = set()
    for number, row in enumerate(table, 1):
        values = {_plain(column): value.strip() for column, value in row.items() if value.strip()}
        stated = _first(values, _PATHS).replace("\\", "/").strip("/")
        path = _path(stated)
        if path != stated:
            if path not in files_of_messages:
                files_of_messages.add(path)
                yield Document(path, (path,), (), {})
            continue
        if not path:
            if why := _first(values, _FAILURES):
                name = _first(values, _NAMES) or f"row {number}"
                failed.append(NotExported(name, why[:1_000], document(name, [], row).metadata))
            continue
        hashes = [
            (path, algorithm, values[column])
            for column, (algorithm, size) in _HASHES.items()
            if re.fullmatch(f"[0-9a-fA-F]{{{size}}}", values.get(column, ""))
        ]
        found = document(_first(values, _NAMES), [path], row)
        yield Document(path, (path,), (), found.metadata, tuple(hashes[:1]))
        if text := _first(values, _TEXTS):
            yield Document(text, (text,), (), {})


def _path(path: str) -> str:
    """Return where a file lies in the export; of what lies in a PST file, where that lies."""
    inside = _PST.fullmatch(path)
    return path if inside is None else inside[1]


def _first(values: dict[str, str], columns: tuple[str, ...]) -> str:
    return next((values[column] for column in columns if column in values), "")


def _plain(column: str) -> str:
    return _SIGNS.sub("", column.lower())


_PARTS: Final = re.compile(r".*\.(?:pst|eml|msg)", re.IGNORECASE | re.DOTALL)

PURVIEW: Final = Format(
    _read_list, name="Microsoft Purview", parts=_PARTS, lists="Items.csv, Results.csv or Export_load_file.csv"
)
"""Microsoft Purview's exports."""
