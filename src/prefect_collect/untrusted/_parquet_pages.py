"""Reads the description of columns and pages in a Parquet file, before Arrow unpacks the pages.

Both are structs of Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); field numbers are those of
`FileMetaData` and `PageHeader` in parquet.thrift. pyarrow's own view of a column's description is not used: pyarrow 26
ends the whole process if that is damaged (by a C++ exception that it does not catch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
_TYPE, _UNPACKED, _PACKED = 1, 2, 3
_HEADER_OF: Final = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_VALUES: Final = 1
_ENCODING_OF: Final = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
_ENCODINGS: Final = frozenset({0, 2, 3, 4, 5, 6, 8, 9})
"""All but DELTA_BYTE_ARRAY (7), in which two bytes are enough for a value to repeat the long one before it."""

_ROW_GROUPS = 4
_COLUMNS, _ROWS = 1, 3
_FILE, _COLUMN, _ENCRYPTED = 1, 3, 8
_PHYSICAL, _PATH, _COLUMN_PACKED, _FIRST_DATA, _FIRST_DICTIONARY = 1, 3, 7, 9, 11
_BYTE_ARRAY: Final = 6

_BOOLEANS: Final = (1, 2)
_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 3, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)
_MAX_DEPTH: Final = 8
_KEPT_FOOTER: Final = 16 << 10
"""The most bytes of a footer that is kept: 256 of them take at most 4 MiB, and what they say some more."""

Value = int | bytes | list[Any] | dict[int, Any]
Struct = dict[int, Any]


class BadPages(ValueError):
    """Raised if a file's columns or their pages are not as they should be."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The place of a column of a row group in the file, in bytes; with `is_text`, its values have their own lengths."""

    name: str
    start: int
    packed: int
    is_text: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its stated number of rows, and its columns by their names (parts joined by a dot)."""

    rows: int
    columns: Mapping[str, Chunk]


@dataclass(frozen=True, slots=True)
class Pages:
    """The unpacked bytes of a column's pages, and of its dictionary (0 if it has none)."""

    unpacked: int
    dictionary: int


def read_groups(footer: bytes) -> tuple[Group, ...]:
    """Return the row groups of a file's `FileMetaData`. Raise BadPages if it does not describe its columns.

    A job's lists are opened several times, some columns at a time: what small footers say is kept for a while.
    """
    return _read_kept_groups(footer) if len(footer) <= _KEPT_FOOTER else _read_groups(footer)


@lru_cache(maxsize=256)
def _read_kept_groups(footer: bytes) -> tuple[Group, ...]:
    return _read_groups(footer)


def _read_groups(footer: bytes) -> tuple[Group, ...]:
    try:
        described, _ = _struct(footer, 0, _MAX_DEPTH)
        return tuple(
            Group(_number(group, _ROWS), {c.name: c for c in map(_chunk, _structs(group, _COLUMNS))})
            for group in _structs(described, _ROW_GROUPS)
        )
    except IndexError as error:
        raise BadPages("its description of itself is cut off") from error


def _chunk(column: Struct) -> Chunk:
    described = column.get(_COLUMN)
    if not isinstance(described, dict) or _ENCRYPTED in column:
        raise BadPages("it does not describe one of its columns")
    if column.get(_FILE):
        raise BadPages("it places a column in another file")
    path = described.get(_PATH)
    if not isinstance(path, list) or not all(isinstance(part, bytes) for part in path):
        raise BadPages("it does not name one of its columns")
    start, first = _number(described, _FIRST_DATA), described.get(_FIRST_DICTIONARY)
    if isinstance(first, int) and 0 < first < start:
        start = first
    name = b".".join(path).decode(errors="replace")
    return Chunk(name, start, _number(described, _COLUMN_PACKED), described.get(_PHYSICAL) == _BYTE_ARRAY)


def _structs(struct: Struct, field: int) -> list[Struct]:
    found = struct.get(field)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadPages("its description of itself lacks a list")
    return found


def read_pages(data: bytes, chunk: Chunk, rows: int) -> Pages:
    """Read the headers of a column's pages. Raise BadPages unless they hold one value a row, in known encodings."""
    at = unpacked = values = dictionary = 0
    while at < len(data) and values < rows:
        try:
            header, at = _struct(data, at, _MAX_DEPTH)
        except IndexError as error:
            raise BadPages(f"its column {chunk.name} is cut off") from error
        kind, size, packed = (_number(header, field) for field in (_TYPE, _UNPACKED, _PACKED))
        if kind not in _HEADER_OF or packed > len(data) - at:
            raise BadPages(f"its column {chunk.name} has pages of an unknown kind")
        details = header.get(_HEADER_OF[kind])
        if not isinstance(details, dict):
            raise BadPages(f"its column {chunk.name} has pages of an unknown kind")
        if _number(details, _ENCODING_OF[kind]) not in _ENCODINGS:
            raise BadPages(f"its column {chunk.name} has values in an encoding that is not read")
        if kind == _DICTIONARY:
            dictionary += size
        else:
            values += _number(details, _VALUES)
        unpacked += max(size, packed)
        at += packed
    if values != rows:
        raise BadPages("it does not hold as many rows as it states")
    return Pages(unpacked, dictionary)


def _number(struct: Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise BadPages("its description of itself, or of a page, lacks a number")
    return value


def _struct(data: bytes, at: int, depth: int) -> tuple[Struct, int]:
    """Return the fields of a struct by their numbers, and where it ends. Raise IndexError, BadPages."""
    if depth < 0:
        raise BadPages("it is nested too deeply")
    fields: Struct = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        type_ = head & 15
        if type_ in _INTEGERS:
            fields[number], at = _signed(data, at)
        elif type_ in _BOOLEANS:
            fields[number] = type_ == 1
        else:
            fields[number], at = _value(data, at, type_, depth)
    return fields, at + 1


def _value(data: bytes, at: int, type_: int, depth: int) -> tuple[Value, int]:
    """Return a value, and where it ends: there are never more values than bytes."""
    if type_ in _INTEGERS:
        return _signed(data, at)
    if type_ == _STRUCT:
        return _struct(data, at, depth - 1)
    if type_ == _BINARY:
        size, at = _unsigned(data, at)
        return data[at : at + size], at + size
    if type_ in (_LIST, _SET) and depth > 0:
        head = data[at]
        count, at = (head >> 4, at + 1) if head >> 4 < 15 else _unsigned(data, at + 1)
        values = []
        for _ in range(count):
            value, at = _value(data, at, head & 15, depth - 1)
            values.append(value)
        return values, at
    if type_ in (*_BOOLEANS, _BYTE):
        return data[at], at + 1
    if type_ == _DOUBLE:
        return data[at : at + 8], at + 8
    raise BadPages("it holds what it should not, or is nested too deeply")


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise BadPages("it holds a number that is too large")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 128:  # the usual case
        return value >> 1 ^ -(value & 1), at + 1
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at
