"""The types of MariaDB and MySQL as Arrow's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from prefect_collect.connectors.sql.tables import Column, Table

Ask = Callable[[str], list[tuple[Any, ...]]]

_UNSIGNED: Final = 32
_BINARY: Final = 63
"""The number of the character set of bytes."""

_SIGNED_TYPES: Final = {1: pa.int8(), 2: pa.int16(), 9: pa.int32(), 3: pa.int32(), 8: pa.int64(), 13: pa.int16()}
_UNSIGNED_TYPES: Final = {1: pa.uint8(), 2: pa.uint16(), 9: pa.uint32(), 3: pa.uint32(), 8: pa.uint64(), 13: pa.int16()}
_TIMES: Final = {7: pa.timestamp("us", "UTC"), 10: pa.date32(), 12: pa.timestamp("us"), 14: pa.date32()}
_DECIMALS: Final = frozenset({0, 246})
_FLOAT, _DOUBLE, _NULL, _TIMESTAMP, _TIME, _BIT, _GEOMETRY = 4, 5, 6, 7, 11, 16, 255
_NO_DATE: Final = "MAX(YEAR({c}) = 0 OR MONTH({c}) = 0 OR DAYOFMONTH({c}) = 0)"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result, as the protocol describes it (``Protocol::ColumnDefinition41``)."""

    name: str
    type: int
    length: int
    scale: int
    flags: int
    charset: int


def columns_of(ask: Ask, table: Table, fields: Sequence[Field]) -> tuple[tuple[Column, ...], int]:
    """Return the columns of a table with exact types where its values have them, and the number of its rows."""
    labels = ", ".join(f"c{number}" for number in range(len(fields)))
    checked = [number for number, field in enumerate(fields) if field.type in _TIMES]
    checks = "".join(f", {_NO_DATE.format(c=f'c{number}')}" for number in checked)
    sql = f"WITH q ({labels}) AS (SELECT * FROM {table.relation} AS t) SELECT COUNT(*){checks} FROM q"
    count, *answers = ask(sql)[0]
    odd = {number for number, answer in zip(checked, answers, strict=True) if answer == "1"}
    columns = []
    for number, field in enumerate(fields):
        name = "`" + field.name.replace("`", "``") + "`" if table.kind == "table" else f"c{number}"
        columns.append(_column(field, name, is_odd=number in odd))
    return tuple(columns), int(count)


def _column(field: Field, name: str, *, is_odd: bool) -> Column:
    kind = field.type
    if kind in _SIGNED_TYPES:
        types = _UNSIGNED_TYPES if field.flags & _UNSIGNED else _SIGNED_TYPES
        return Column(field.name, types[kind], name)
    if kind in _TIMES:
        if is_odd:
            return Column(field.name, pa.string(), name, as_text="a date with a year, month or day of zero")
        # The session's zone is UTC, which the text of TIMESTAMP does not say.
        return Column(field.name, _TIMES[kind], f"CONCAT({name}, '+00')" if kind == _TIMESTAMP else name)
    if kind in _DECIMALS:
        digits = field.length - (field.scale > 0) - (not field.flags & _UNSIGNED)
        kinds = pa.decimal128 if digits <= 38 else pa.decimal256
        return Column(field.name, kinds(max(digits, field.scale, 1), field.scale), name)
    if kind == _FLOAT:
        # The text of FLOAT has six digits; as DOUBLE it has all.
        return Column(field.name, pa.float32(), f"CAST({name} AS DOUBLE)")
    if kind == _DOUBLE:
        return Column(field.name, pa.float64(), name)
    if kind == _BIT:
        return Column(field.name, pa.uint64(), f"{name} + 0")
    if kind == _TIME:
        return Column(field.name, pa.string(), name, as_text="time: may be negative, and beyond a day")
    if kind == _GEOMETRY:
        note = "geometry: 4 bytes of its SRID, then WKB"
        return Column(field.name, pa.binary(), name, is_hex=True, as_text=note)
    if field.charset == _BINARY and kind != _NULL:
        return Column(field.name, pa.binary(), name, is_hex=True)
    return Column(field.name, pa.string(), name)
