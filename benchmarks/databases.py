"""The rows of tables: `SqlSource` beside what people use, from PostgreSQL and MariaDB on this machine.

Ours makes a whole collection (listing, Parquet, checksums, account); ``psql`` writes CSV with ``\\copy``, ``mariadb
--batch --quick`` TSV, and pandas' ``read_sql`` by 100,000 rows Parquet with ``to_parquet``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.context import Bench, all_of, peer
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command
from benchmarks.took import Took
from tests.integration.databases import Database, mariadb, postgres_database
from tests.integration.postgres import postgres_programs

_CHUNK: Final = 100_000
_TABLE: Final = (
    "CREATE TABLE {table} (id bigint PRIMARY KEY, made {time} NOT NULL, customer varchar(40), amount numeric(12, 2), "
    "ratio double precision, note varchar(200), paid {flag}, raw varchar(60))"
)
_ROW: Final = (
    "{x}, {made}, concat('customer ', {x} % 1000), ({x} % 100000) / 100.0, {x} / 7.0e0, "
    "CASE WHEN {x} % 3 = 0 THEN NULL ELSE repeat('note \"x\" ', {x} % 7) END, {x} % 2 = 0, "
    "concat('{{\"k\": ', {x}, '}}')"
)
_PANDAS: Final = """
import sys
import pandas, sqlalchemy
engine = sqlalchemy.create_engine(sys.argv[1])
with engine.connect().execution_options(stream_results=True) as connection:
    frames = pandas.read_sql(f"SELECT * FROM {sys.argv[2]} ORDER BY id", connection, chunksize=100_000)
    for number, frame in enumerate(frames):
        frame.to_parquet(f"{sys.argv[3]}/{number}.parquet", compression="zstd")
"""


def fill(database: Database, rows: int) -> None:
    """Make the tables `orders`, of so many rows, and `none`, without any."""
    if database.dialect == "postgresql":
        row = _ROW.format(x="x::int", made="timestamptz '2020-01-01 00:00:00+00' + x * interval '61.123456 s'")
        tables = [_TABLE.format(table=name, time="timestamptz", flag="boolean") for name in ("orders", "none")]
        filled = f"INSERT INTO orders SELECT {row} FROM generate_series(1, {rows}) AS x"
        database.run(*tables, filled, "ANALYZE")
        return
    row = _ROW.format(x="x", made="timestampadd(microsecond, x * 61123456, '2020-01-01')")
    tables = [_TABLE.format(table=name, time="datetime(6)", flag="boolean") for name in ("orders", "none")]
    numbers = f"WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {rows})"
    filled = f"INSERT INTO orders {numbers} SELECT {row} FROM n"
    database.run("SET max_recursive_iterations = 100000000", *tables, filled, "ANALYZE TABLE orders")


def _client(database: Database, table: str, where: str) -> Sequence[str]:
    """Return the command of the database's own client that writes a table as text."""
    if database.dialect == "postgresql":
        programs = postgres_programs()
        assert programs is not None
        copy = f"\\copy (SELECT * FROM {table} ORDER BY id) TO '{where}/table' CSV"
        return [str(programs / "psql"), database.url, "-qc", copy]
    words = f"mariadb -h127.0.0.1 -P{database.port} -uroot --batch --quick {database.name}"
    return ["sh", "-c", f"{words} -e 'SELECT * FROM {table} ORDER BY id' > {where}/table"]


def _compared(bench: Bench, title: str, client: str, database: Database, rows: int) -> Comparison:
    fill(database, rows)
    worker, place = bench.worker(), Folders(bench.out)
    driver = "postgresql+psycopg" if database.dialect == "postgresql" else "mysql+pymysql"
    address = f"{driver}://{database.url.partition('://')[2]}"

    def ours(_: int, where: str, empty: bool) -> Took:
        fields = {"url": database.url, "rows": _CHUNK, "tables": ["none" if empty else "orders"]}
        source: dict[str, Any] = {"block": "SqlSource", "fields": fields}
        answer = worker.call("product.run_collection", source=source, store=where)
        return all_of(answer, max(1, answer["found"]) if empty else 1 + -(-rows // _CHUNK))

    def in_text(_: int, where: str, empty: bool) -> Command:
        return Command([_client(database, "none" if empty else "orders", where)])

    def as_parquet(_: int, where: str, empty: bool) -> Command:
        return Command([[sys.executable, "-c", _PANDAS, address, "none" if empty else "orders", where]])

    peers = [
        peer(bench, client, place, in_text, sweep=(0,), expect=1),
        peer(bench, "pandas to Parquet", place, as_parquet, sweep=(0,), expect=None),
    ]
    return Comparison(title, rows, Contender("prefect-collect", place, ours), peers)


def postgresql(bench: Bench) -> Comparison:
    """Compare a table of PostgreSQL."""
    rows = 20_000 if bench.quick else 500_000
    return _compared(bench, "PostgreSQL table to Parquet", "psql to CSV", postgres_database(), rows)


def maria(bench: Bench) -> Comparison:
    """Compare a table of MariaDB."""
    rows = 20_000 if bench.quick else 200_000
    database = bench.stack.enter_context(mariadb()).database()
    return _compared(bench, "MariaDB table to Parquet", "mariadb to TSV", database, rows)
