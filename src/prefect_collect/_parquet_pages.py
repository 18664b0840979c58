"""The headers of a Parquet column's pages, read before Arrow unpacks the pages.

Headers are structs of Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); field numbers are those of
`PageHeader` in parquet.thrift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
_TYPE, _UNPACKED, _PACKED = 1, 2, 3
_HEADER_OF: Final = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_VALUES: Final = 1
_ENCODING_OF: Final = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
_ENCODINGS: Final = frozenset({0, 2, 3, 4, 5, 6, 8, 9})
"""All but DELTA_BYTE_ARRAY (7), in which each value can repeat the long one before it for two bytes."""

_BOOLEANS: Final = (1, 2)
_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 3, 7, 8, 9, 10, 12
_INTEGERS: Final = (4, 5, 6)
_MAX_DEPTH: Final = 4
_MAX_LIST: Final = 64

Struct = dict[int, "int | Struct"]


class BadPages(ValueError):
    """A column's pages are not as they should be."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a column of a row group is in the file, in bytes; `is_text`: its values have lengths of their own."""

    name: str
    start: int
    packed: int
    is_text: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """What a column's pages unpack to, in bytes, and what its dictionary does (0 if it has none)."""

    unpacked: int
    dictionary: int


def read_pages(data: bytes, chunk: Chunk, rows: int) -> Pages:
    """Read the headers of a column's pages. Raises BadPages unless they hold one value a row, in known encodings."""
    at = unpacked = values = dictionary = 0
    while at < len(data) and values < rows:
        try:
            header, at = _struct(data, at, _MAX_DEPTH)
        except IndexError as error:
            raise BadPages(f"its column {chunk.name} is cut off") from error
        kind, size, packed = (_number(header, field) for field in (_TYPE, _UNPACKED, _PACKED))
        if kind not in _HEADER_OF or packed > len(data) - at:
            raise BadPages(f"its column {chunk.name} has pages that are none")
        details = header.get(_HEADER_OF[kind])
        if not isinstance(details, dict):
            raise BadPages(f"its column {chunk.name} has pages that are none")
        if _number(details, _ENCODING_OF[kind]) not in _ENCODINGS:
            raise BadPages(f"its column {chunk.name} has values in an encoding that is not read")
        if kind == _DICTIONARY:
            dictionary += size
        else:
            values += _number(details, _VALUES)
        unpacked += max(size, packed)
        at += packed
    if values != rows:
        raise BadPages("it does not hold as many rows as it says")
    return Pages(unpacked, dictionary)


def _number(struct: Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise BadPages("a page lacks a number in its header")
    return value


def _struct(data: bytes, at: int, depth: int) -> tuple[Struct, int]:
    """The integers and structs of a struct, by field number, and where it ends. Raises IndexError, BadPages."""
    if depth < 0:
        raise BadPages("a page's header is nested too deeply")
    fields: Struct = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        type_ = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        if type_ in _INTEGERS:
            fields[number], at = _signed(data, at)
        elif type_ == _STRUCT:
            fields[number], at = _struct(data, at, depth - 1)
        else:
            at = _skipped(data, at, type_, depth)
    return fields, at + 1


def _skipped(data: bytes, at: int, type_: int, depth: int) -> int:
    """Where a value ends that is not needed."""
    if type_ in _BOOLEANS:
        return at
    if type_ == _BYTE:
        return at + 1
    if type_ == _DOUBLE:
        return at + 8
    if type_ == _BINARY:
        size, at = _unsigned(data, at)
        return at + size
    if type_ in (_LIST, _SET):
        head = data[at]
        count, at = (head >> 4, at + 1) if head >> 4 < 15 else _unsigned(data, at + 1)
        if count <= _MAX_LIST:
            for _ in range(count):
                at = _element(data, at, head & 15, depth)
            return at
    raise BadPages("a page's header holds what it should not")


def _element(data: bytes, at: int, type_: int, depth: int) -> int:
    if type_ in _BOOLEANS:
        return at + 1
    if type_ in _INTEGERS:
        return _unsigned(data, at)[1]
    if type_ == _STRUCT:
        return _struct(data, at, depth - 1)[1]
    if depth <= 0:
        raise BadPages("a page's header is nested too deeply")
    return _skipped(data, at, type_, depth - 1)


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
            raise BadPages("a page's header holds a number that is too large")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at
