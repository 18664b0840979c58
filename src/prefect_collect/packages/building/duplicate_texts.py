"""Ids, custodians and paths of rows of a manifest, kept in a temporary database: memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_AT_ONCE: Final = 500
"""Values in one query: SQLite before 3.32 takes 999 parameters."""


class ItemText(NamedTuple):
    """What item lists say of a row: its id, its custodian, and its path at the source."""

    item_id: str
    custodian: str | None
    path: str


class ItemTexts:
    """The texts of rows, by row."""

    def __init__(self) -> None:
        self._database = temporary_database()
        self._database.execute("CREATE TABLE item(row INTEGER PRIMARY KEY, item_id TEXT, custodian TEXT, path TEXT)")

    def add(self, rows: list[int], ids: list[str], custodians: list[str | None], paths: list[str]) -> None:
        """Keep the texts of these rows."""
        values = zip(rows, ids, custodians, paths, strict=True)
        self._database.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", values)

    def of(self, rows: Any) -> dict[int, ItemText]:
        """Return the texts of the rows (a NumPy array) that were added, by row."""
        query = "SELECT row, item_id, custodian, path FROM item WHERE row IN"
        found = rows_among(self._database, query, sorted(set(rows.tolist())))
        return {row: ItemText(*values) for row, *values in found}


def temporary_database() -> sqlite3.Connection:
    """Return a database that is written to a temporary file once it outgrows its cache, and removed when closed."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for line in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "BEGIN"):
        database.execute(line)
    return database


def rows_among(database: sqlite3.Connection, query: str, values: Sequence[Any], end: str = "") -> Iterator[Any]:
    """Yield the rows of a query that stops after its ``IN``, for some of the values at a time; `end` follows them."""
    for at in range(0, len(values), _AT_ONCE):
        some = values[at : at + _AT_ONCE]
        yield from database.execute(f"{query} ({','.join('?' * len(some))}) {end}", some)
