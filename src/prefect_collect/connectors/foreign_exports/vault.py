"""The layout of Google Vault's exports.

https://support.google.com/vault/answer/6099459 (Vault export contents) names the files: ``NAME-N.zip`` with mbox or PST
files or with files as they are, ``NAME-metadata.xml`` (EDRM XML) and, of Gmail, ``NAME-metadata.csv`` with what Google
knows of each item, ``NAME-results-count.csv``, the error reports ``error.csv``, ``NAME-errors.xml``,
``NAME-account-exceptions.csv`` and ``NAME-failed-group-membership-lookups.csv``, and a list of the MD5 of all files.

An item of the metadata is one of the files (``ExternalFile``), or a message of an mbox file: of Gmail by its
Message-ID, of Google Chat by the id that also is the sender of the message's separator line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.foreign_exports.documents import Document, NotExported
from prefect_collect.connectors.foreign_exports.edrm_xml import document, documents
from prefect_collect.connectors.foreign_exports.layout import Format, Reports
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.foreign_exports.tables import checksums, failures, rows

_METADATA: Final = re.compile(r"(?:.*[-_ ])?metadata\.(xml|csv)", re.IGNORECASE)
_ERRORS: Final = re.compile(
    r"(?:.*[-_ ])?(?:errors?|account-exceptions|failed-[a-z-]+-lookups)\.(xml|csv)", re.IGNORECASE
)
_CHECKSUMS: Final = re.compile(r".*(?:\.(?:md5|sha1|sha256)|checksums?(?:\.[a-z0-9]{1,6})?)", re.IGNORECASE)
_COUNTS: Final = re.compile(r"(?:.*[-_ ])?results-count\.csv", re.IGNORECASE)
_FILE: Final = "FileName"
_MESSAGE: Final = "Rfc822MessageId"


def _read_list(file: File, lists: Lists) -> Reports | None:
    name = file.item.path.rpartition("/")[2]
    if (kind := _ERRORS.fullmatch(name)) is not None:
        return _xml_errors(file) if kind[1].lower() == "xml" else failures(file.stream())
    if (kind := _METADATA.fullmatch(name)) is not None:
        found = documents(file.stream()) if kind[1].lower() == "xml" else _messages(file)
        lists.add(map(_unbracketed, found), file.item.path)
        return iter(())
    if _COUNTS.fullmatch(name) is not None:
        lists.counted += sum(_number(row) for row in rows(file.stream()))
        return iter(())
    if _CHECKSUMS.fullmatch(name) is not None:
        lists.add_checksums((each for each in checksums(file.stream()) if each[0] != name), file.item.path)
        return iter(())
    return None


def _number(row: dict[str, str]) -> int:
    """Return the number of messages of an account: the last column that is a number."""
    numbers = [value.strip() for value in row.values() if value.strip().isascii() and value.strip().isdigit()]
    return int(numbers[-1][:15]) if numbers else 0


def _messages(file: File) -> Iterator[Document]:
    """Yield the rows of a metadata table: one for each message."""
    for row in rows(file.stream()):
        files = [row[_FILE]] if row.get(_FILE) else []
        found = document(row.get("GmailMessageId", ""), files, {_MESSAGE: row.get(_MESSAGE, ""), **row})
        yield Document(row.get(_MESSAGE) or found.name, found.files, found.messages, found.metadata)


def _unbracketed(found: Document) -> Document:
    return replace(found, messages=tuple(message.strip("<> ") for message in found.messages))


def _xml_errors(file: File) -> Reports:
    for found in documents(file.stream()):
        said = "; ".join(f"{name.removeprefix('export.')}: {value}" for name, value in found.metadata.items() if value)
        yield NotExported(found.name or "?", said[:1_000], found.metadata)


_PARTS: Final = re.compile(r".*\.(?:mbox|pst)", re.IGNORECASE | re.DOTALL)

VAULT: Final = Format(
    _read_list,
    name="Google Vault",
    parts=_PARTS,
    lists="NAME-metadata.xml or a list of checksums",
    looks_into_mbox=True,
)
"""Google Vault's exports."""
