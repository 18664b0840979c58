"""Sessions of PostgreSQL: REPEATABLE READ, READ ONLY, in one exported snapshot; rows come by COPY."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.connectors.sql.driver import connected
from prefect_collect.connectors.sql.postgres_columns import columns_of, types_of
from prefect_collect.connectors.sql.postgres_failures import failure_of
from prefect_collect.connectors.sql.postgres_schema import ddl_of
from prefect_collect.connectors.sql.postgres_wire import Wire
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.tables import QUERY, Key, Shape, Slice, Table
from prefect_collect.errors import SourceError

Row = tuple[str | None, ...]

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SETTINGS: Final = {
    # What the text of values depends on.
    "TimeZone": "UTC", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "extra_float_digits": "3",
    "bytea_output": "hex", "xmlbinary": "base64", "xmloption": "content",
    # A user whose policies hide rows gets an error, not fewer rows.
    "row_security": "off",
    "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "60s",
}  # fmt: skip
_NEWER: Final = {140000: ("client_connection_check_interval", "5s"), 170000: ("transaction_timeout", "0")}
_GONE: Final = frozenset({"22023", "42704", "55000"})
"""The SQLSTATEs of a snapshot that its session does not hold any more."""

_LOCKED: Final = "55P03"
"""The SQLSTATE of a lock that is not given at once."""

_TABLES: Final = """
SELECT n.nspname, c.relname, c.relkind,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_KEY: Final = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM (
  SELECT i.* FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  WHERE i.indrelid = {oid} AND c.relkind IN ('r', 'p') AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_attribute k
      WHERE k.attrelid = i.indrelid AND k.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT k.attnotnull)
  ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1
) i
CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS u(number, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.number
ORDER BY u.place
"""


class PostgresSession(Session):
    """One connection to PostgreSQL."""

    shares: ClassVar[bool] = True

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        with self.asking():
            seconds = max(2, round(access.connect_timeout))
            self._connection = connected(access, autocommit=True, connect_timeout=seconds, client_encoding="UTF8")
        self._wire = Wire(self._connection)
        self._locked: set[str] = set()

    def begin(self, *, locks: bool) -> str:
        """Export a snapshot, before which the tables are locked against changes of their structure."""
        locked = self._lockable() if locks and not self.access.query else []
        self._ask(_BEGIN)
        self._set_up()
        for start in range(0, len(locked), 500):
            # Before the snapshot: a TRUNCATE after it would show the table empty.
            self._ask(f"LOCK TABLE {', '.join(locked[start : start + 500])} IN ACCESS SHARE MODE")
        return str(self._ask("SELECT pg_catalog.pg_export_snapshot()")[0][0])

    def join(self, name: str) -> None:
        """Begin the transaction in an exported snapshot."""
        self._ask(_BEGIN)
        try:
            self._ask(f"SET TRANSACTION SNAPSHOT {literal(name)}")
        except SourceError as error:
            if getattr(error.__cause__, "sqlstate", None) in _GONE:
                raise self.access.snapshot_ended() from error
            raise
        self._set_up()

    def can_read(self, table: Table) -> bool:
        """Lock a table as the snapshot's holder has it locked; return False if that would have to wait.

        A user who waits to change the table waits for the holder, and keeps out all who ask later: to wait would never
        end. (pg_dump's workers do the same, and give up.)
        """
        if table.kind != "table" or table.relation in self._locked:
            return True
        try:
            self._ask(f"LOCK TABLE {table.relation} IN ACCESS SHARE MODE NOWAIT")
        except SourceError as error:
            if getattr(error.__cause__, "sqlstate", None) == _LOCKED:
                return False
            raise
        self._locked.add(table.relation)
        return True

    def _set_up(self) -> None:
        version = self._wire.version
        newer = dict(setting for since, setting in _NEWER.items() if version >= since)
        for name, value in (_SETTINGS | newer).items():
            self._ask(f"SET LOCAL {name} = {literal(value)}")

    def _lockable(self) -> list[str]:
        return [table.relation for table, kind in self._found() if kind in ("r", "p") and not table.is_denied]

    def tables(self) -> list[Table]:
        """Return the tables to read; partitions are read with the table that they are of."""
        if self.access.query:
            return [Table(QUERY, "query", f"({self.access.query}\n)")]
        return [table for table, _ in self._found()]

    def _found(self) -> list[tuple[Table, str]]:
        found = []
        for schema, name, kind, may_read in self._ask(_TABLES):
            names = str(schema), str(name)
            is_view = kind not in ("r", "p")
            if self.access.takes(names, is_view=is_view):
                relation = f"{'ONLY ' if kind == 'r' else ''}{quoted(names[0])}.{quoted(names[1])}"
                table = Table(names, "view" if is_view else "table", relation, may_read != "t")
                found.append((table, str(kind)))
        return found

    def shape(self, table: Table) -> Shape:
        """Return what must be known of a table; its rows are counted, and values without an exact type are found."""
        result = self._result(f"SELECT * FROM {table.relation} AS q LIMIT 0")
        oids = [result.ftype(number) for number in range(result.nfields)]
        sizes = [result.fmod(number) for number in range(result.nfields)]
        names = [result.fname(number).decode() for number in range(result.nfields)]
        types = types_of(self._ask, oids, sizes)
        columns, count = columns_of(self._ask, table, names, types)
        keys = [] if table.kind == "query" else self._ask(_KEY.format(oid=self._oid(table)))
        key_sql = tuple((f"q.{quoted(str(name))}", str(type_)) for name, type_ in keys)
        order = ", ".join(name for name, _ in key_sql) or 'q::text COLLATE "C"'
        return Shape(table, columns, tuple(str(name) for name, _ in keys), key_sql, order, count)

    def _oid(self, table: Table) -> str:
        relation = table.relation.removeprefix("ONLY ")
        return str(self._ask(f"SELECT {literal(relation)}::pg_catalog.regclass::pg_catalog.oid")[0][0])

    def key_at(self, shape: Shape, after: Key | None, number: int) -> Key | None:
        """Return the key of the row with that number after a key, as text."""
        names = ", ".join(f"{name}::text" for name, _ in shape.key_sql)
        rows = self._ask(
            f"SELECT {names} FROM {shape.table.relation} AS q{_where(shape, Slice((), after))} "
            f"ORDER BY {shape.order} OFFSET {number - 1} LIMIT 1"
        )
        return tuple(str(value) for value in rows[0]) if rows else None

    def count_after(self, shape: Shape, after: Key | None) -> int:
        """Return how many rows have a key above that one."""
        where = _where(shape, Slice((), after))
        return int(self._ask(f"SELECT count(*) FROM {shape.table.relation} AS q{where}")[0][0] or 0)

    def rows(self, shape: Shape, part: Slice) -> Iterator[bytes | memoryview]:
        """Yield the rows, each of which PostgreSQL sends as a message of COPY."""
        select = f"SELECT * FROM {shape.table.relation} AS q{_where(shape, part)} ORDER BY {shape.order}"
        is_whole = False
        try:
            yield from self._wire.copied(f"COPY ({select}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)")
            is_whole = True
        finally:
            self.is_usable = self.is_usable and is_whole

    def ddl(self, table: Table) -> str:
        """Return the SQL of a table, put together from what the catalog's own functions say."""
        return ddl_of(self._ask, table, "" if table.kind == "query" else self._oid(table))

    def interrupt(self) -> None:
        """Shut the connection down: libpq's waiting ends, and the server sees it within 5 seconds."""
        self.is_usable = False
        self._wire.shut()

    def failure(self, error: Exception) -> SourceError | None:
        """Return the error of an exception of psycopg; after any error the transaction is of no more use."""
        self.is_usable = False
        return failure_of(self.access, error)

    def _ask(self, sql: str) -> list[Row]:
        """Return the rows of a single statement, as text."""
        result = self._result(sql)
        return [
            tuple(
                None if (value := result.get_value(row, column)) is None else value.decode()
                for column in range(result.nfields)
            )
            for row in range(result.ntuples)
        ]

    def _result(self, sql: str) -> Any:
        with self.asking():
            return self._wire.result(sql)


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as a literal."""
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _where(shape: Shape, part: Slice) -> str:
    bounds = [(">", part.after), ("<=", part.to)]
    names = ", ".join(name for name, _ in shape.key_sql)
    said = []
    for sign, key in bounds:
        if key is not None:
            values = ", ".join(f"{literal(str(v))}::{kind}" for v, (_, kind) in zip(key, shape.key_sql, strict=True))
            said.append(f"({names}) {sign} ({values})")
    return f" WHERE {' AND '.join(said)}" if said else ""
