"""Sessions of SQLite: one read transaction of one connection, which opens the file for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final
from urllib.parse import quote

from prefect_collect.connectors.sql.access import Access
from prefect_collect.connectors.sql.csv_rows import line
from prefect_collect.connectors.sql.driver import parsed
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.sqlite_columns import columns_of, is_utf8, utf8_of
from prefect_collect.connectors.sql.tables import QUERY, Key, Shape, Slice, Table
from prefect_collect.errors import SourceError

_CODES: Final = {
    sqlite3.SQLITE_BUSY: "throttled",
    sqlite3.SQLITE_LOCKED: "throttled",
    sqlite3.SQLITE_PERM: "access_denied",
    sqlite3.SQLITE_AUTH: "access_denied",
    sqlite3.SQLITE_CORRUPT: "read_error",
    sqlite3.SQLITE_NOTADB: "read_error",
    sqlite3.SQLITE_IOERR: "read_error",
    sqlite3.SQLITE_FORMAT: "read_error",
    sqlite3.SQLITE_PROTOCOL: "throttled",
    sqlite3.SQLITE_SCHEMA: "changed_during_read",
    sqlite3.SQLITE_TOOBIG: "too_large",
}
"""Codes by SQLite's primary result codes."""


class SqliteSession(Session):
    """One connection to a file of SQLite; threads use it one after the other."""

    _connection: sqlite3.Connection

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        path = Path(parsed(access.url).database or "")
        with self.asking():
            if not path.is_file():
                raise access.error("not_found", "There is no such file on this machine; check the path")
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, check_same_thread=False, isolation_level=None,
                timeout=access.connect_timeout,
            )  # fmt: skip
            self._connection.create_function("is_utf8", 1, is_utf8, deterministic=True)
            self._connection.create_function("utf8_of", 1, utf8_of, deterministic=True)
            self._connection.execute("PRAGMA query_only = 1")

    def begin(self, *, locks: bool) -> str:
        """Begin a read transaction, whose snapshot the first read takes."""
        with self.asking():
            self._connection.execute("BEGIN")
            self._ask("SELECT count(*) FROM sqlite_schema")
        return token_hex(8)

    def tables(self) -> list[Table]:
        """Return the tables to read; those that a virtual table keeps its content in are tables too."""
        if self.access.query:
            return [Table(QUERY, "query", f"({self.access.query}\n)")]
        found = self._ask(
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        return [
            Table((name,), "view" if kind in ("view", "virtual") else "table", quoted(name))
            for name, kind in found
            if self.access.takes((name,), is_view=kind in ("view", "virtual"))
        ]

    def shape(self, table: Table) -> Shape:
        """Return what must be known of a table; its rows are counted, and which kinds of values each column has."""
        with self.asking():
            described = self._connection.execute(f"SELECT * FROM {table.relation} LIMIT 0").description
            names = [column[0] for column in described]
            columns, count = columns_of(self._ask, table, names)
            key = self._key(table) if table.kind == "table" else []
        key_sql = tuple((quoted(name), "") for name in key)
        order = ", ".join(name for name, _ in key_sql)
        every = [str(number + 1) for number in range(len(names))]
        return Shape(table, columns, tuple(key), key_sql, order or ", ".join(every), count)

    def _key(self, table: Table) -> list[str]:
        """Return the columns of the primary key, if it can hold no NULL, as only some of SQLite's can."""
        info = self._ask(
            'SELECT name, upper(type), "notnull", pk FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk',
            table.name[-1],
        )
        (without_rowid,) = self._ask(
            "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", table.name[-1]
        )
        is_rowid = len(info) == 1 and info[0][1] == "INTEGER"
        if is_rowid or without_rowid[0] or all(row[2] for row in info):
            return [row[0] for row in info]
        return []

    def key_at(self, shape: Shape, after: Key | None, number: int) -> Key | None:
        """Return the key of the row with that number after a key."""
        names = ", ".join(name for name, _ in shape.key_sql)
        where, values = _where(shape, Slice((), after))
        sql = f"SELECT {names} FROM {shape.table.relation}{where} ORDER BY {shape.order} LIMIT 1 OFFSET {number - 1}"
        rows = self._ask(sql, *values)
        return _values(rows[0]) if rows else None

    def count_after(self, shape: Shape, after: Key | None) -> int:
        """Return how many rows have a key above that one."""
        where, values = _where(shape, Slice((), after))
        return int(self._ask(f"SELECT count(*) FROM {shape.table.relation}{where}", *values)[0][0])

    def rows(self, shape: Shape, part: Slice) -> Iterator[bytes | memoryview]:
        """Yield the rows as lines of CSV."""
        where, values = _where(shape, part)
        select = ", ".join(column.select for column in shape.columns)
        order = ""
        if shape.key or shape.count > 1:
            order = f" ORDER BY {shape.order}"
        source = f"{shape.table.relation} AS q"
        if shape.table.kind != "table":
            labels = ", ".join(f"c{number}" for number in range(len(shape.columns)))
            source = f"q_({labels})"
            select_from = f"WITH {source} AS (SELECT * FROM {shape.table.relation}) SELECT {select} FROM q_"
        else:
            select_from = f"SELECT {select} FROM {source}"
        cursor = self._connection.execute(f"{select_from}{where}{order}", values)
        try:
            yield from map(line, cursor)
        finally:
            cursor.close()

    def ddl(self, table: Table) -> str:
        """Return the SQL of the table, its indexes and triggers, as the database keeps it."""
        if table.kind == "query":
            return f"{self.access.query.strip()};\n"
        rows = self._ask(
            "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type <> ?, type, name",
            table.name[-1], table.kind,
        )  # fmt: skip
        return "".join(f"{sql};\n" for (sql,) in rows)

    def interrupt(self) -> None:
        """Interrupt what is under way."""
        with suppress(sqlite3.Error):
            self._connection.interrupt()

    def failure(self, error: Exception) -> SourceError | None:
        """Return the error of an exception of SQLite."""
        if isinstance(error, PermissionError):
            return self.access.error("access_denied", "The file may not be read")
        if not isinstance(error, sqlite3.Error):
            return None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        said = str(error)
        if said.startswith("no such"):
            return self.access.error("not_found", f"SQLite: {said}")
        if code == sqlite3.SQLITE_CANTOPEN:
            return self.access.error("access_denied", f"SQLite: {said}")
        advice = "; check the path" if code == sqlite3.SQLITE_NOTADB else ""
        return self.access.error(_CODES.get(code, "read_error"), f"SQLite: {said}{advice}")

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.asking():
            return self._connection.execute(sql, values).fetchall()


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _values(row: tuple[Any, ...]) -> Key:
    return tuple(row)


def _where(shape: Shape, part: Slice) -> tuple[str, tuple[Any, ...]]:
    names = ", ".join(name for name, _ in shape.key_sql)
    said: list[str] = []
    values: list[Any] = []
    for sign, key in ((">", part.after), ("<=", part.to)):
        if key is not None:
            said.append(f"({names}) {sign} ({', '.join('?' for _ in key)})")
            values += key
    return (f" WHERE {' AND '.join(said)}" if said else ""), tuple(values)
