"""The Thrift compact protocol, read into plain values and written again, to forge descriptions in Parquet files.

A struct is ``{field id: (type, value)}`` (to be written also its bytes), a list ``(element type, [values])``.
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


def read_struct(data: bytes, at: int = 0) -> tuple[dict[int, tuple[int, Any]], int]:
    """Return the struct that begins at an offset, and the offset after it."""
    fields: dict[int, tuple[int, Any]] = {}
    last = 0
    while (head := data[at]) != 0:
        at += 1
        type_ = head & 15
        if head >> 4:
            last += head >> 4
        else:
            last, at = _signed(data, at)
        value, at = (type_ == TRUE, at) if type_ in (TRUE, FALSE) else _value(data, at, type_)
        fields[last] = type_, value
    return fields, at + 1


def write_struct(fields: dict[int, tuple[int, Any]]) -> bytes:
    """Return the struct's bytes."""
    out = bytearray()
    last = 0
    for number, (kind, value) in sorted(fields.items()):
        type_ = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        if 0 < number - last < 16:
            out.append((number - last) << 4 | type_)
        else:
            out.append(type_)
            out += _varint(_zigzag(number))
        if kind not in (TRUE, FALSE):
            out += _written(kind, value)
        last = number
    return bytes(out) + b"\0"


def _value(data: bytes, at: int, type_: int) -> tuple[Any, int]:
    if type_ == BYTE or type_ in (TRUE, FALSE):
        return data[at], at + 1
    if type_ in (I16, I32, I64):
        return _signed(data, at)
    if type_ == DOUBLE:
        return data[at : at + 8], at + 8
    if type_ == BINARY:
        size, at = _unsigned(data, at)
        return data[at : at + size], at + size
    if type_ in (LIST, SET):
        head = data[at]
        count, at = (head >> 4, at + 1) if head >> 4 < 15 else _unsigned(data, at + 1)
        values = []
        for _ in range(count):
            value, at = _value(data, at, head & 15)
            values.append(value)
        return (head & 15, values), at
    if type_ == STRUCT:
        return read_struct(data, at)
    raise ValueError(f"type {type_}")


def _written(type_: int, value: Any) -> bytes:
    if type_ in (BYTE, TRUE, FALSE):
        return bytes([value])
    if type_ in (I16, I32, I64):
        return _varint(_zigzag(value))
    if type_ == DOUBLE:
        return bytes(value)
    if type_ == BINARY:
        return _varint(len(value)) + bytes(value)
    if type_ in (LIST, SET):
        kind, values = value
        head = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xF0 | kind]) + _varint(len(values))
        return head + b"".join(_written(kind, each) for each in values)
    return value if isinstance(value, bytes) else write_struct(value)


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at


def _zigzag(value: int) -> int:
    return (value << 1 ^ value >> 63) & (1 << 64) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
