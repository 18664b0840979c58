"""The values of databases in Parquet: exact, or text that says so."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import inf, isnan
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.formats.dataset import Dataset
from prefect_collect.packages import verify
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.databases import Database, sqlite_database
from tests.integration.sources.places import read
from tests.support.run_attempts import attempt, export, new_job

pytestmark = pytest.mark.integration


def collected(database: Database, table: str = "t", **fields: Any) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of a table, and the metadata of its slice."""
    source = database.source(**fields)
    (item,) = (item for item in items_of(source) if item.path.endswith(f"{table}/00000.parquet"))
    assert item.failure is None
    with source.open(item) as content:
        data = b"".join(bytes(chunk) for chunk in content.chunks)
        assert content.metadata is not None
        return pq.read_table(io.BytesIO(data)), dict(content.metadata)


def require_datasets(database: Database, table: pa.Table, folder: Path) -> None:
    """Export the database as datasets, and require that DuckDB and pandas read these rows in them."""
    source = database.source()
    job = new_job(DirectoryStore(folder / "staging"), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    ids = table["id"].to_pylist()
    for rows in ("parquet", "csv"):
        _, result = export(job, DirectoryStore(folder / rows), "dataset-directory", dataset=Dataset(rows=rows))
        assert (result.status, verify(str(result.package)).problems) == (JobStatus.SUCCESSFULLY_COMPLETED, [])
        (file,) = Path(str(result.package)).rglob(f"00000.{rows}")
        found = duckdb.sql(f"SELECT * FROM '{file}'" if rows == "parquet" else f"FROM read_csv('{file}', quote='\"')")
        assert found is not None
        assert (found.columns, [row[0] for row in found.fetchall()]) == (table.column_names, ids)
        read = pandas.read_parquet(file) if rows == "parquet" else pandas.read_csv(file, dtype={"id": str})
        assert ([*read.columns], [*map(int, read["id"])]) == (table.column_names, ids)
        if rows == "parquet":
            assert str(pq.read_table(file).to_pylist()) == str(table.to_pylist())


@pytest.fixture
def sqlite(tmp_path: Any) -> Database:
    """An empty database of SQLite."""
    return sqlite_database(tmp_path)


def test_exact_types_of_postgresql(postgresql: Database, tmp_path: Path) -> None:
    """Numbers, times, bytes and texts of PostgreSQL have exact types, also in datasets; NULL is no empty text."""
    postgresql.run(
        "CREATE DOMAIN price AS numeric(40, 2)",
        "CREATE TYPE mood AS ENUM ('ok', 'bad')",
        """CREATE TABLE t (
          id bigint PRIMARY KEY, small smallint, yes boolean, f4 real, f8 double precision, n numeric(12, 3),
          wide numeric(60, 10), free numeric, p price, d date, ts timestamp, tz timestamptz, tm time, raw bytea,
          txt text, pad char(4), j json, jb jsonb, m mood, half bigint GENERATED ALWAYS AS (id / 2) STORED)""",
        """INSERT INTO t VALUES
          (-9223372036854775808, -32768, true, 'NaN', 'Infinity', 123456789.123, 1e49::numeric + 0.0000000001, 0.1,
           12345678901234567890123456789012345678.25, '0001-01-01', '9999-12-31 23:59:59.999999',
           '2026-01-01 00:00:00.000001+05:30', '23:59:59.999999', '\\x00ff0a22', E'a,"b"\\n\\\\N\\t', 'ab',
           '{"a":  1}', '{"b":1,"a":2}', 'ok'),
          (0, 0, false, '-0', 5e-324, -0.001, -1, -12345678901234567890.123456789, 0, '1969-12-31',
           '1960-02-29 00:00:00', '1883-11-18 12:00:00+00', '00:00', '', '', '', 'null', 'null', 'bad'),
          (4611686018427387904, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL)""",
    )
    table, said = collected(postgresql)
    assert "as_text" not in said
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "id": "int64", "small": "int16", "yes": "bool", "f4": "float", "f8": "double", "n": "decimal128(12, 3)",
        "wide": "decimal256(60, 10)", "free": "decimal128(38, 9)", "p": "decimal256(40, 2)", "d": "date32[day]",
        "ts": "timestamp[us]", "tz": "timestamp[us, tz=UTC]", "tm": "time64[us]", "raw": "binary", "txt": "string",
        "pad": "string", "j": "string", "jb": "string", "m": "string", "half": "int64",
    }  # fmt: skip
    low, zero, none = table.to_pylist()
    assert isnan(low.pop("f4"))
    assert low == {
        "id": -(2**63), "small": -32768, "yes": True, "f8": inf, "n": Decimal("123456789.123"),
        "wide": Decimal("1" + "0" * 49 + ".0000000001"), "free": Decimal("0.1"),
        "p": Decimal("12345678901234567890123456789012345678.25"), "d": date(1, 1, 1),
        "ts": datetime(9999, 12, 31, 23, 59, 59, 999999), "tz": datetime(2025, 12, 31, 18, 30, 0, 1, UTC),
        "tm": time(23, 59, 59, 999999), "raw": b'\x00\xff\n"', "txt": 'a,"b"\n\\N\t', "pad": "ab  ", "j": '{"a":  1}',
        "jb": '{"a": 2, "b": 1}', "m": "ok", "half": -(2**62),
    }  # fmt: skip
    assert (zero["f4"], str(zero["f4"]), zero["f8"], zero["raw"], zero["txt"]) == (0.0, "-0.0", 5e-324, b"", "")
    assert zero["free"] == Decimal("-12345678901234567890.123456789")
    assert {name for name, value in none.items() if value is not None} == {"id", "half"}
    require_datasets(postgresql, table, tmp_path)


def test_what_has_no_exact_type_of_postgresql(postgresql: Database) -> None:
    """Values that Parquet has no place for are PostgreSQL's own text, and the metadata says of which columns."""
    postgresql.run(
        "CREATE EXTENSION IF NOT EXISTS hstore",
        """CREATE TABLE t (
          u uuid, a integer[], r int4range, i interval, ip inet, pt point, b bit(3), mon money, v tsvector, h hstore,
          d date, ts timestamptz, tm time, tz timetz, n numeric, big numeric, declared numeric(5, 2))""",
        """INSERT INTO t VALUES
          ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{1,NULL}', '[1,5)', '1 year 2 days', '::1/128', '(1,2)', '101',
           12.5, 'a b', 'k=>v', 'infinity', '0044-03-15 12:00:00+00 BC', '24:00', '10:00+02', 'NaN', 1e100, 'NaN')""",
    )
    table, said = collected(postgresql)
    (row,) = table.to_pylist()
    assert row == {
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a": "{1,NULL}", "r": "[1,5)", "i": "1 year 2 days", "ip": "::1",
        "pt": "(1,2)", "b": "101", "mon": "$12.50", "v": "'a' 'b'", "h": '"k"=>"v"', "d": "infinity",
        "ts": "0044-03-15 12:00:00+00 BC", "tm": "24:00:00", "tz": "10:00:00+02", "n": "NaN", "big": "1" + "0" * 100,
        "declared": "NaN",
    }  # fmt: skip
    assert said["as_text"].keys() == row.keys()
    assert said["as_text"]["u"] == "uuid"
    assert said["as_text"]["declared"] == "numeric(5,2): NaN or infinity"
    assert "101 digits" in said["as_text"]["big"]


def test_the_servers_settings_change_no_byte(postgresql: Database) -> None:
    """The text of values does not depend on what the database, the role or the environment sets."""
    postgresql.run("CREATE TABLE t AS SELECT now() AS at, 1.1::float8 AS f, '\\x01'::bytea AS raw, interval '1 d' AS i")
    (item,) = (item for item in items_of(postgresql.source()) if item.path.endswith(".parquet"))
    before = read(postgresql.source(), item)
    for name, value in {
        "TimeZone": "'Asia/Tokyo'", "DateStyle": "'SQL, DMY'", "IntervalStyle": "'iso_8601'",
        "extra_float_digits": "-5", "bytea_output": "'escape'", "client_encoding": "'LATIN1'",
        "statement_timeout": "1", "search_path": "''",
    }.items():  # fmt: skip
        postgresql.run(f"ALTER DATABASE {postgresql.name} SET {name} = {value}")
    assert read(postgresql.source(), item) == before


def test_types_of_mariadb(mariadb: Database, tmp_path: Path) -> None:
    """Numbers, times, bytes and texts of MariaDB have exact types, also in datasets; what has none is text."""
    mariadb.run(
        """CREATE TABLE t (
          id bigint unsigned PRIMARY KEY, tiny tinyint, ut tinyint unsigned, mid mediumint unsigned, n decimal(12,3),
          wide decimal(65,30), f float, d double, y year, bits bit(10), dt date, ts datetime(6), st timestamp(3) NULL,
          tm time(2), raw varbinary(9), blb blob, txt text, pad char(4), j json, e enum('ok','bad'), s set('a','b'),
          odd date, z int(6) zerofill, latin varchar(9) CHARACTER SET latin1, twice bigint AS (tiny * 2) VIRTUAL)""",
    )
    with mariadb.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+05:30'")
        cursor.execute(
            """INSERT INTO t (id, tiny, ut, mid, n, wide, f, d, y, bits, dt, ts, st, tm, raw, blb, txt, pad, j, e, s,
              odd, z, latin) VALUES (18446744073709551615, -128, 255, 16777215, -0.001, REPEAT('9', 35), 16777217.5,
              1.7976931348623157e308, 2155, b'1000000001', '1000-01-01', '9999-12-31 23:59:59.999999',
              '2026-01-01 00:00:00.001', '-838:59:59', X'00FF0A22', '', 'a,"b"\\n', 'ab', '{"a":  1}', 'bad', 'a,b',
              '2026-00-10', 42, 'é'), (0, NULL, NULL, NULL, NULL, NULL, 0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
              NULL, NULL, '', '', NULL, NULL, NULL, NULL, NULL, NULL)"""
        )
    table, said = collected(mariadb)
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "id": "uint64", "tiny": "int8", "ut": "uint8", "mid": "uint32", "n": "decimal128(12, 3)",
        "wide": "decimal256(65, 30)", "f": "float", "d": "double", "y": "int16", "bits": "uint64", "dt": "date32[day]",
        "ts": "timestamp[us]", "st": "timestamp[us, tz=UTC]", "tm": "string", "raw": "binary", "blb": "binary",
        "txt": "string", "pad": "string", "j": "string", "e": "string", "s": "string", "odd": "string", "z": "uint32",
        "latin": "string", "twice": "int64",
    }  # fmt: skip
    none, row = table.to_pylist()
    assert row == {
        "id": 2**64 - 1, "tiny": -128, "ut": 255, "mid": 16777215, "n": Decimal("-0.001"),
        "wide": Decimal("9" * 35), "f": 16777218.0, "d": 1.7976931348623157e308, "y": 2155, "bits": 513,
        "dt": date(1000, 1, 1), "ts": datetime(9999, 12, 31, 23, 59, 59, 999999),
        "st": datetime(2025, 12, 31, 18, 30, 0, 1000, UTC), "tm": "-838:59:59.00", "raw": b'\x00\xff\n"', "blb": b"",
        "txt": 'a,"b"\n', "pad": "ab", "j": '{"a":  1}', "e": "bad", "s": "a,b", "odd": "2026-00-10", "z": 42,
        "latin": "é", "twice": -256,
    }  # fmt: skip
    assert said["as_text"].keys() == {"tm", "odd"}
    assert (none["f"], none["txt"], none["tiny"], none["raw"]) == (pa.scalar(0.1, pa.float32()).as_py(), "", None, None)
    require_datasets(mariadb, table, tmp_path)


def test_values_of_sqlite(sqlite: Database) -> None:
    """A column of SQLite has the type that all its values have; one with several has SQL literals, and says so."""
    sqlite.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, i, r REAL, n NUMERIC, x TEXT, b BLOB, mixed, large, empty, "
        "twice INTEGER GENERATED ALWAYS AS (id * 2) VIRTUAL, inf)",
        "INSERT INTO t (id, i, r, n, x, b, mixed, large, empty, inf) VALUES "
        "(1, -9223372036854775808, 0.1, 10, 'a''b', x'00ff', 'text', 9007199254740993, NULL, 9e999), "
        "(2, 1, 1e300, 10.5, '', x'', x'00', 0.5, NULL, -9e999), "
        "(3, NULL, NULL, NULL, NULL, NULL, 0.1, NULL, NULL, 1.0)",
    )
    table, said = collected(sqlite)
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "id": "int64", "i": "int64", "r": "double", "n": "double", "x": "string", "b": "binary", "mixed": "string",
        "large": "string", "empty": "string", "twice": "int64", "inf": "double",
    }  # fmt: skip
    assert table["mixed"].to_pylist() == ["'text'", "X'00'", "0.1"]
    assert table["large"].to_pylist() == ["9007199254740993", "0.5", None]
    assert table["n"].to_pylist() == [10.0, 10.5, None]
    assert table["inf"].to_pylist() == [inf, -inf, 1.0]
    assert table["x"].to_pylist() == ["a'b", "", None]
    assert said["as_text"].keys() == {"mixed", "large"}


def test_text_that_is_no_utf8(sqlite: Database) -> None:
    """Texts of SQLite that are no UTF-8 are kept as their bytes, and the metadata says so."""
    sqlite.run("CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT)), ('a')")
    table, said = collected(sqlite)
    assert sorted(table["x"].to_pylist()) == [b"a", b"\xffA"]
    assert said["as_text"] == {"x": "text that is not UTF-8"}


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_text_with_nul(sqlite: Database, encoding: str) -> None:
    """A text with NUL is whole, alone and among other kinds of values, where SQL makes the same values of it again."""
    values = [7, "a\0secret", "b", None, b"x\0y", "it's\0\xe9"]
    sqlite.run(f"PRAGMA encoding = '{encoding}'", "CREATE TABLE t (id INTEGER PRIMARY KEY, mixed, x TEXT)")
    sqlite.run("INSERT INTO t (mixed, x) VALUES (?, ?)", rows=[(value, "y\0z") for value in values])
    table, said = collected(sqlite)
    assert table["x"].to_pylist() == ["y\0z"] * len(values)
    assert said["as_text"] == {"mixed": "integer, text, blob: as SQL literals"}
    with closing(sqlite3.connect(":memory:")) as connection:
        literals = ["NULL" if literal is None else literal for literal in table["mixed"].to_pylist()]
        assert [*connection.execute(f"SELECT {', '.join(literals)}").fetchone()] == values
    again, said_again = collected(sqlite)
    sqlite.run("UPDATE t SET mixed = ? WHERE id = 2", rows=[("a\0other",)])
    changed, said_changed = collected(sqlite)
    assert again == table != changed
    assert said["rows_sha256"] == said_again["rows_sha256"] != said_changed["rows_sha256"]


def test_text_that_is_no_utf8_among_others(sqlite: Database) -> None:
    """A text that is no UTF-8 in a column of several kinds of values is whole too."""
    sqlite.run("CREATE TABLE t (x)", "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT)), ('a'), (7)")
    table, _ = collected(sqlite)
    assert sorted(table["x"].to_pylist()) == ["'a'", "7", "CAST(x'FF41' AS TEXT)"]


def test_columns_of_one_name(postgresql: Database) -> None:
    """Columns of a query that have one name are told apart."""
    table, _ = collected(postgresql, "query", query="SELECT 1 AS id, 2 AS id, NULL::text AS note")
    assert table.to_pylist() == [{"id": 1, "id (2)": 2, "note": None}]


def test_one_column_of_nothing(database: Database) -> None:
    """A table of one column is whole, though the line of NULL is empty."""
    database.run("CREATE TABLE t (x varchar(9))", "INSERT INTO t VALUES (NULL), (''), (NULL)")
    table, _ = collected(database)
    assert sorted(table["x"].to_pylist(), key=str) == ["", None, None]


def test_keys_of_postgresql(postgresql: Database) -> None:
    """Keys of any type are followed over the bounds of slices, and each row is in one of them."""
    keys = {
        "uuid": "md5(x::text)::uuid", "timestamptz": "'2026-01-01'::timestamptz + x * interval '1 us'",
        "bytea": "decode(md5(x::text), 'hex')", "numeric": "x / 3.0", "float8": "x / 3.0::float8",
        "text": "md5(x::text) || '\\' || chr(39)", "inet": "'10.0.0.0'::inet + x", "char(5)": "x::text",
    }  # fmt: skip
    for number, (kind, key) in enumerate(keys.items()):
        table = f"CREATE TABLE t{number} (k {kind} PRIMARY KEY, x int)"
        postgresql.run(table, f"INSERT INTO t{number} SELECT {key}, x FROM generate_series(1, 20) x")
    source = postgresql.source(rows=3)
    found: dict[str, list[pa.Table]] = {}
    for item in items_of(source):
        if item.path.endswith(".parquet"):
            found.setdefault(item.path.rpartition("/")[0], []).append(pq.read_table(io.BytesIO(read(source, item))))
    assert len(found) == len(keys)
    for tables in found.values():
        assert [table.num_rows for table in tables] == [3] * 6 + [2]
        assert sorted(pa.concat_tables(tables)["x"].to_pylist()) == [*range(1, 21)]
