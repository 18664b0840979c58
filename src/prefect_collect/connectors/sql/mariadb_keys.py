"""Names, values and the bounds of slices in the SQL of MariaDB."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.connectors.sql.tables import Key, Shape, Slice
from prefect_collect.errors import SourceError

_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Return a text as a literal, whatever the server's settings of escapes are."""
    return f"_utf8mb4 0x{value.encode().hex()}" if value else "''"


def where(shape: Shape, part: Slice) -> str:
    """Return the condition of a slice."""
    said = [_beyond(shape, part.after, ">")] if part.after is not None else []
    said += [_beyond(shape, part.to, "<")] if part.to is not None else []
    return f" WHERE {' AND '.join(said)}" if said else ""


def _beyond(shape: Shape, key: Key, sign: str) -> str:
    """Return the condition that a row's key is above (``>``) a key, or is not (``<``).

    MariaDB finds the range of an index by comparisons of single columns only.
    """
    values = [_literal(value, kind) for value, (_, kind) in zip(key, shape.key_sql, strict=True)]
    names = [name for name, _ in shape.key_sql]
    last = sign if sign == ">" else "<="
    said = f"{names[-1]} {last} {values[-1]}"
    for name, value in zip(names[-2::-1], values[-2::-1], strict=True):
        said = f"({name} {sign}= {value} AND ({name} {sign} {value} OR {said}))"
    return said


def _literal(value: str | int | float | bytes, kind: str) -> str:
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if kind == "number":
        if _NUMBER.fullmatch(str(value)) is None:
            raise SourceError(f"This is not a key of the table. [{str(value)[:100]}]", code="not_found")
        return str(value)
    return text(str(value))
