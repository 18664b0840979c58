"""PostgreSQL's types as Arrow's: which values have an exact type is asked of the rows themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from prefect_collect.connectors.sql.tables import Column, Table

Ask = Callable[[str], list[tuple[str | None, ...]]]

_EXACT: Final = {
    "bool": pa.bool_(), "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64(), "oid": pa.int64(),
    "float4": pa.float32(), "float8": pa.float64(), "date": pa.date32(), "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"), "bytea": pa.binary(),
}  # fmt: skip
_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "name", "char", "citext", "json", "jsonb", "xml"})
_YEARS: Final = "bool_or({c} < '0001-01-01' OR {c} >= '10000-01-01')"
_CHECKS: Final = {
    "date": (_YEARS, "infinity, or a year that is not of 1 to 9999"),
    "timestamp": (_YEARS, "infinity, or a year that is not of 1 to 9999"),
    "timestamptz": (_YEARS, "infinity, or a year that is not of 1 to 9999"),
    "time": ("bool_or({c} = '24:00')", "24:00"),
    "numeric": ("bool_or({c} IN ('NaN', 'Infinity', '-Infinity'))", "NaN or infinity"),
}
_SCALE: Final = "max(scale({c}))"
_DIGITS: Final = "max(length(trunc(abs({c}))::text))"
MOST_DIGITS: Final = 76
"""The digits of Arrow's decimal256."""


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type: its name for users, and the name, kind and modifier of the type that a domain is of."""

    title: str
    name: str
    kind: str
    modifier: int
    is_own: bool


def types_of(ask: Ask, oids: Sequence[int], modifiers: Sequence[int]) -> list[Type]:
    """Return the types of columns, by their oids and modifiers."""
    known: dict[int, tuple[str | None, ...]] = {}
    wanted = {*oids}
    while wanted := {oid for oid in wanted if oid not in known}:
        listed = ", ".join(str(oid) for oid in sorted(wanted))
        rows = ask(
            "SELECT t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod, n.nspname = 'pg_catalog' "
            "FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
            f"WHERE t.oid IN ({listed})"
        )
        known |= {int(row[0] or 0): row[1:] for row in rows}
        known |= {oid: ("unknown", "b", "0", "-1", "t") for oid in wanted if oid not in known}
        wanted = {int(row[3] or 0) for row in rows if row[2] == "d"}
    shown = [
        ask(f"SELECT pg_catalog.format_type({oid}, {modifier})")[0][0]
        for oid, modifier in zip(oids, modifiers, strict=True)
    ]
    found = []
    for oid, modifier, title in zip(oids, modifiers, shown, strict=True):
        name, kind, base, own, is_catalogs = known[oid]
        while kind == "d":
            modifier = int(own or -1) if modifier == -1 else modifier
            name, kind, base, own, is_catalogs = known[int(base or 0)]
        is_own = is_catalogs != "t"
        found.append(Type(str(title), str(name), str(kind), modifier, is_own))
    return found


def columns_of(ask: Ask, table: Table, names: Sequence[str], types: Sequence[Type]) -> tuple[tuple[Column, ...], int]:
    """Return the columns of a table with exact types where its values have them, and the number of its rows.

    One look at all rows counts them and finds the values that Arrow has no place for.
    """
    asked = ["count(*)"]
    places: list[list[int]] = []
    for number, type_ in enumerate(types):
        places.append([])
        for check in _checks(type_):
            places[-1].append(len(asked))
            asked.append(check.format(c=f"c{number}"))
    labels = ", ".join(f"c{number}" for number in range(len(types)))
    # The labels are by place: the columns of a query may have one name twice.
    of = f"(SELECT * FROM {table.relation} AS t) AS q({labels})" if labels else f"{table.relation} AS q"
    answer = ask(f"SELECT {', '.join(asked)} FROM {of}")[0]
    columns = [
        _column(name, type_, [answer[place] for place in own])
        for name, type_, own in zip(names, types, places, strict=True)
    ]
    return tuple(columns), int(answer[0] or 0)


def _checks(type_: Type) -> list[str]:
    if type_.is_own or type_.name not in _CHECKS:
        return []
    odd = _CHECKS[type_.name][0]
    return [odd, _SCALE, _DIGITS] if type_.name == "numeric" else [odd]


def _column(name: str, type_: Type, answers: list[str | None]) -> Column:
    if type_.kind == "e" or (type_.name in _TEXTS and (not type_.is_own or type_.name == "citext")):
        return Column(name, pa.string(), "")
    if not type_.is_own and answers and answers[0] == "t":
        return Column(name, pa.string(), "", as_text=f"{type_.title}: {_CHECKS[type_.name][1]}")
    if not type_.is_own and type_.name == "numeric":
        return _numeric(name, type_, answers)
    exact = None if type_.is_own else _EXACT.get(type_.name)
    if exact is None:
        return Column(name, pa.string(), "", as_text=type_.title)
    return Column(name, exact, "", is_hex=pa.types.is_binary(exact))


def _numeric(name: str, type_: Type, answers: list[str | None]) -> Column:
    """Return a numeric column: with the precision that it is declared with, else with what its values need."""
    precision, scale = (type_.modifier - 4) >> 16 & 0xFFFF, (type_.modifier - 4) & 0x7FF
    is_declared = type_.modifier >= 4 and scale <= precision <= MOST_DIGITS
    if not is_declared:
        scale = int(answers[1] or 0)
        digits = int(answers[2] or 1) + scale
        if digits > MOST_DIGITS:
            return Column(name, pa.string(), "", as_text=f"{type_.title}: {digits} digits")
        precision = 38 if digits <= 38 else MOST_DIGITS
    return Column(name, decimal(precision, scale), "")


def decimal(precision: int, scale: int) -> pa.DataType:
    """Return the smallest decimal type of Parquet's usual two that holds a precision."""
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
