"""The columns of SQLite, whose values have types of their own: which ones a column has is asked of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from prefect_collect.connectors.sql.tables import Column, Table

Ask = Callable[..., list[tuple[Any, ...]]]

_EXACT: Final = 1 << 53
"""Up to here, 64-bit floating point has each whole number."""

_CHECKS: Final = (
    "max(typeof({c}) = 'integer')", "max(typeof({c}) = 'real')", "max(typeof({c}) = 'text')",
    "max(typeof({c}) = 'blob')",
    f"max(CASE typeof({{c}}) WHEN 'integer' THEN {{c}} NOT BETWEEN -{_EXACT} AND {_EXACT} END)",
    "max(CASE typeof({c}) WHEN 'text' THEN NOT is_utf8(CAST({c} AS BLOB)) END)",
)  # fmt: skip


def is_utf8(value: bytes | None) -> bool:
    """Return whether bytes are UTF-8, which is what SQLite's text usually is."""
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def utf8_of(text: str) -> bytes:
    """Return the bytes of a text in UTF-8, which are others than those that a database in UTF-16 keeps."""
    return text.encode("utf-8", "surrogatepass")


def columns_of(ask: Ask, table: Table, names: Sequence[str]) -> tuple[tuple[Column, ...], int]:
    """Return the columns of a table, each with the type that all its values have, and the number of its rows."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    labels = [f"c{number}" for number in range(len(names))]
    is_utf16 = ask("PRAGMA encoding")[0][0] != "UTF-8"
    count = 0
    columns: list[Column] = []
    for start in range(0, len(names), 100):  # SQLite's functions and results take some 2,000 columns
        asked = ["count(*)"] + [check.format(c=label) for label in labels[start : start + 100] for check in _CHECKS]
        sql = f"WITH q({', '.join(labels)}) AS (SELECT * FROM {table.relation}) SELECT {', '.join(asked)} FROM q"
        count, *answers = ask(sql)[0]
        for place in range(len(labels[start : start + 100])):
            of = [bool(answer) for answer in answers[place * len(_CHECKS) : (place + 1) * len(_CHECKS)]]
            number = start + place
            expression = quoted[number] if table.kind == "table" else labels[number]
            columns.append(_column(names[number], expression, of, is_utf16=is_utf16))
    return tuple(columns), int(count)


def _column(name: str, expression: str, has: list[bool], *, is_utf16: bool) -> Column:
    integer, real, text, blob, is_large, is_broken = has
    if text and is_broken and not is_utf16:
        if not (integer or real or blob):
            return Column(
                name, pa.binary(), f"CAST({expression} AS BLOB)", is_hex=True, as_text="text that is not UTF-8"
            )
    elif integer + real + text + blob <= 1 or (integer and real and not (text or blob or is_large)):
        if blob:
            return Column(name, pa.binary(), expression, is_hex=True)
        exact = pa.float64() if real else pa.int64() if integer else pa.string()
        select = f"CAST({expression} AS REAL)" if real and integer else expression
        return Column(name, exact, select)
    kinds = [kind for kind, is_there in zip(("integer", "real", "text", "blob"), has, strict=False) if is_there]
    select = _literal(expression, is_utf16=is_utf16, is_broken=is_broken)
    return Column(name, pa.string(), select, as_text=f"{', '.join(kinds)}: as SQL literals")


def _literal(expression: str, *, is_utf16: bool, is_broken: bool) -> str:
    """Return the SQL of a value as an SQL literal; NULL stays NULL.

    ``quote`` ends a text at its first NUL, and a text that is not UTF-8 cannot be read as text. Both are written as
    their bytes in UTF-8, from which SQLite makes the same text.
    """
    data = f"utf8_of({expression})" if is_utf16 else f"CAST({expression} AS BLOB)"
    of_bytes = f"instr({expression}, char(0)) > 0"
    if is_broken and not is_utf16:
        of_bytes += f" OR NOT is_utf8({data})"
    return (
        f"CASE WHEN {expression} IS NULL THEN NULL WHEN typeof({expression}) = 'text' AND ({of_bytes}) "
        f"THEN 'CAST(x''' || hex({data}) || ''' AS TEXT)' ELSE quote({expression}) END"
    )
