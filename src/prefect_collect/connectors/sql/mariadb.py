"""Sessions of MariaDB and MySQL: one connection, in a transaction with a consistent snapshot that only reads.

Several connections with one snapshot would need a lock of all tables for a moment (FLUSH TABLES WITH READ LOCK), which
waits for every statement that runs and keeps every writer out until then; so there is one.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from secrets import token_hex
from typing import Any, Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.connectors.sql.csv_rows import line
from prefect_collect.connectors.sql.driver import connected
from prefect_collect.connectors.sql.mariadb_columns import Field, columns_of
from prefect_collect.connectors.sql.mariadb_failures import failure_of
from prefect_collect.connectors.sql.mariadb_keys import quoted, text, where
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.tables import QUERY, Key, Shape, Slice, Table
from prefect_collect.errors import SourceError

_SETTINGS: Final = {
    # What the text of values depends on.
    "time_zone": "'+00:00'", "sql_mode": "''",
    "wait_timeout": "2147483", "net_write_timeout": "86400", "net_read_timeout": "86400", "lock_wait_timeout": "60",
}  # fmt: skip
_OPTIONAL: Final = {
    "max_statement_time": "0", "idle_transaction_timeout": "0", "idle_readonly_transaction_timeout": "0",
    "max_execution_time": "0",
}  # fmt: skip
"""Settings that MariaDB or MySQL has, but not both."""

_TABLES: Final = """
SELECT table_name, table_type, COALESCE(engine, '') FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type <> 'SEQUENCE' ORDER BY BINARY table_name
"""
_KEY: Final = """
SELECT s.index_name, s.column_name, c.data_type
FROM information_schema.statistics s JOIN information_schema.columns c
  ON c.table_schema = s.table_schema AND c.table_name = s.table_name AND c.column_name = s.column_name
WHERE s.table_schema = DATABASE() AND s.table_name = {name} AND s.non_unique = 0 AND NOT EXISTS (
  SELECT 1 FROM information_schema.statistics o WHERE o.table_schema = s.table_schema AND o.table_name = s.table_name
    AND o.index_name = s.index_name AND (o.nullable = 'YES' OR o.sub_part IS NOT NULL))
ORDER BY s.index_name <> 'PRIMARY', s.index_name, s.seq_in_index
"""
_KEY_TYPES: Final = {
    "tinyint": "number", "smallint": "number", "mediumint": "number", "int": "number", "bigint": "number",
    "decimal": "number", "char": "text", "varchar": "text", "date": "text", "datetime": "text", "timestamp": "text",
    "binary": "bytes", "varbinary": "bytes", "uuid": "text",
}  # fmt: skip
"""The types of keys whose order is that of their literals; a key of another type is not used as one."""


class MariadbSession(Session):
    """One connection to MariaDB or MySQL; threads use it one after the other."""

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        with self.asking():
            seconds = max(1, round(access.connect_timeout))
            self._connection = connected(access, connect_timeout=seconds, charset="utf8mb4", autocommit=True)
        self._connection.decoders = {}  # values stay the text that the server sends
        self._engines: dict[str, str] = {}

    def begin(self, *, locks: bool) -> str:
        """Begin the transaction with its snapshot; a table that is recreated after it gives an error, not its rows."""
        for name, value in _SETTINGS.items():
            self._ask(f"SET SESSION {name} = {value}")
        for name, value in _OPTIONAL.items():
            with suppress(SourceError):
                self._ask(f"SET SESSION {name} = {value}")
        self._ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._ask("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return token_hex(8)

    def tables(self) -> list[Table]:
        """Return the tables to read: those on which the user has any right, as others are not shown."""
        if self.access.query:
            return [Table(QUERY, "query", f"({self.access.query}\n)")]
        found = []
        for name, kind, engine in self._ask(_TABLES):
            is_view = "VIEW" in kind
            if self.access.takes((name,), is_view=is_view):
                self._engines[name] = engine
                found.append(Table((name,), "view" if is_view else "table", quoted(name)))
        return found

    def shape(self, table: Table) -> Shape:
        """Return what must be known of a table; its rows are counted, and dates that do not exist are found."""
        columns, count = columns_of(self._ask, table, self._fields(f"SELECT * FROM {table.relation} AS q LIMIT 0"))
        keys = self._key(table) if table.kind == "table" else []
        key_sql = tuple((quoted(name), _KEY_TYPES[kind]) for name, kind in keys)
        plain = [quoted(c.name) if table.kind == "table" else f"c{n}" for n, c in enumerate(columns)]
        order = ", ".join(name for name, _ in key_sql)
        # A column's own order takes some texts for the same; their hashes tell them apart.
        order = order or ", ".join([*plain, *(f"SHA2({name}, 256)" for name in plain)])
        engine = self._engines.get(table.name[-1], "")
        is_in_it = table.kind != "table" or engine in ("", "InnoDB", "ROCKSDB", "TokuDB")
        note = "" if is_in_it else f"tables of {engine} have no snapshots: a slice is as it was when it was read"
        return Shape(table, columns, tuple(name for name, _ in keys), key_sql, order, count, note)

    def _key(self, table: Table) -> list[tuple[str, str]]:
        """Return the columns of the primary key, or of another unique key without NULL, and their types."""
        indexes: dict[str, list[tuple[str, str]]] = {}
        for index, name, kind in self._ask(_KEY.format(name=text(table.name[-1]))):
            indexes.setdefault(index, []).append((name, kind.lower()))
        return next((key for key in indexes.values() if all(kind in _KEY_TYPES for _, kind in key)), [])

    def key_at(self, shape: Shape, after: Key | None, number: int) -> Key | None:
        """Return the key of the row with that number after a key."""
        names = ", ".join(name for name, _ in shape.key_sql)
        rows = self._ask(
            f"SELECT {names} FROM {shape.table.relation}{where(shape, Slice((), after))} ORDER BY {shape.order} "
            f"LIMIT 1 OFFSET {number - 1}"
        )
        return tuple(rows[0]) if rows else None

    def count_after(self, shape: Shape, after: Key | None) -> int:
        """Return how many rows have a key above that one."""
        return int(self._ask(f"SELECT COUNT(*) FROM {shape.table.relation}{where(shape, Slice((), after))}")[0][0])

    def rows(self, shape: Shape, part: Slice) -> Iterator[bytes | memoryview]:
        """Yield the rows as lines of CSV, as the server sends them."""
        from pymysql.cursors import SSCursor

        select = ", ".join(column.select for column in shape.columns)
        of = f"SELECT {select} FROM {shape.table.relation}{where(shape, part)}"
        if shape.table.kind != "table":
            labels = ", ".join(f"c{number}" for number in range(len(shape.columns)))
            of = f"WITH q ({labels}) AS (SELECT * FROM {shape.table.relation} AS t) SELECT {select} FROM q"
        cursor = self._connection.cursor(SSCursor)
        try:
            cursor.execute(f"{of} ORDER BY {shape.order}")
            yield from map(line, cursor)
        except GeneratorExit:
            cursor.close()  # the rest of the slice is received, as the snapshot is lost with the connection
            raise
        except Exception:
            _forget(cursor)
            raise
        cursor.close()

    def ddl(self, table: Table) -> str:
        """Return the server's own SQL of the table or view."""
        if table.kind == "query":
            return f"{self.access.query.strip()};\n"
        what = "VIEW" if table.kind == "view" else "TABLE"
        return f"{self._ask(f'SHOW CREATE {what} {table.relation}')[0][1]};\n"

    def interrupt(self) -> None:
        """Shut the connection down."""
        self.is_usable = False
        connection = getattr(self._connection, "_sock", None)
        if isinstance(connection, socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def failure(self, error: Exception) -> SourceError | None:
        """Return the error of an exception of PyMySQL."""
        known = failure_of(self.access, error)
        if known is not None and known.code == "connection_lost":
            self.is_usable = False
        return known

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.asking(), closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return [*cursor.fetchall()]

    def _fields(self, sql: str) -> list[Field]:
        with self.asking(), closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            # PyMySQL's `description` leaves out what tells text from bytes, and signed from unsigned.
            return [Field(f.name, f.type_code, f.length, f.scale, f.flags, f.charsetnr) for f in cursor._result.fields]


def _forget(cursor: Any) -> None:
    """Keep PyMySQL from reading the rest of a result over a connection that is broken, when it deletes the result."""
    if cursor._result is not None:
        cursor._result.unbuffered_active = False
        cursor._result.connection = None
    cursor.connection = None
