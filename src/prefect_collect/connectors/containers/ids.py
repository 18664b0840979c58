"""The ids of items that lie inside a file: the file's id, and after each ``!`` the place inside.

``mail.mbox!12345+678`` are 678 bytes of a file, ``export.zip!a/b.txt@9000`` is the entry that the record at byte 9000
describes, ``export.zip!mail.mbox@9000!12345+678`` a part of an entry. ``!`` and ``%`` of names are written ``%21`` and
``%25``, so that every id leads back to exactly one place, without looking anything up.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SPAN: Final = re.compile(r"(.*)!(\d{1,18})\+(\d{1,18})", re.DOTALL)
_ENTRY: Final = re.compile(r"(.*)!([^!]*)@(\d{1,18})", re.DOTALL)


class Span(NamedTuple):
    """A part of a file: the file's id, and its bytes."""

    file: str
    start: int
    end: int


class EntryPlace(NamedTuple):
    """An entry of a ZIP file: the ZIP file's id, the entry's name, and where its record in the directory begins."""

    file: str
    name: str
    at: int


def file_id(source_id: str) -> str:
    """Return the id of a file, by its id at the source that holds it."""
    return source_id.replace("%", "%25").replace("!", "%21")


def source_id(file: str) -> str:
    """Return the id that a file has at the source that holds it."""
    return file.replace("%21", "!").replace("%25", "%")


def span_id(file: str, start: int, end: int) -> str:
    """Return the id of the bytes of a file from `start` to `end`."""
    return f"{file}!{start}+{end - start}"


def entry_id(file: str, name: str, at: int) -> str:
    """Return the id of an entry of a ZIP file."""
    return f"{file}!{file_id(name)}@{at}"


def span_of(item_id: str) -> Span | None:
    """Return the part of a file that an id names; None if it names another thing."""
    found = _SPAN.fullmatch(item_id)
    return None if found is None else Span(found[1], int(found[2]), int(found[2]) + int(found[3]))


def entry_of(item_id: str) -> EntryPlace | None:
    """Return the entry of a ZIP file that an id names; None if it names another thing."""
    found = _ENTRY.fullmatch(item_id)
    return None if found is None else EntryPlace(found[1], source_id(found[2]), int(found[3]))


def outermost(item_id: str) -> str:
    """Return the id, at the source, of the file in which an item lies at last."""
    return source_id(item_id.partition("!")[0])
