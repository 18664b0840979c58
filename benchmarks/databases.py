"""Tables: `SqlSource` beside what people use, from PostgreSQL and MariaDB on this machine.

    apt-get install postgresql mariadb-server
    python -m benchmarks.databases

Prints a Markdown table of seconds: a whole collection (listing, Parquet, checksums, account), `psql` with ``\\copy`` to
CSV or `mariadb --batch --quick` to TSV, and pandas' ``read_sql`` by 100,000 rows with ``to_parquet``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pandas as pd
import sqlalchemy

from prefect_collect.stores import DirectoryStore
from tests.integration.databases import Database, mariadb, postgres_database
from tests.integration.postgres import postgres_programs
from tests.support.run_attempts import attempt, new_job

ROWS: Final = {"postgresql": 1_000_000, "mysql": 200_000}
CHUNK: Final = 100_000
_TABLE: Final = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, made {time} NOT NULL, customer varchar(40), amount numeric(12, 2), "
    "ratio double precision, note varchar(200), paid {flag}, raw varchar(60))"
)
_ROW: Final = (
    "{x}, {made}, concat('customer ', {x} % 1000), ({x} % 100000) / 100.0, {x} / 7.0e0, "
    "CASE WHEN {x} % 3 = 0 THEN NULL ELSE repeat('note \"x\" ', {x} % 7) END, {x} % 2 = 0, "
    "concat('{{\"k\": ', {x}, '}}')"
)


def _fill(database: Database) -> None:
    rows = ROWS[database.dialect]
    if database.dialect == "postgresql":
        row = _ROW.format(x="x::int", made="timestamptz '2020-01-01 00:00:00+00' + x * interval '61.123456 s'")
        database.run(
            _TABLE.format(time="timestamptz", flag="boolean"),
            f"INSERT INTO orders SELECT {row} FROM generate_series(1, {rows}) AS x", "ANALYZE",
        )  # fmt: skip
        return
    row = _ROW.format(x="x", made="timestampadd(microsecond, x * 61123456, '2020-01-01')")
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SET max_recursive_iterations = 100000000")
        cursor.execute(_TABLE.format(time="datetime(6)", flag="boolean"))
        numbers = f"WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {rows})"
        cursor.execute(f"INSERT INTO orders {numbers} SELECT {row} FROM n")
        cursor.execute("ANALYZE TABLE orders")


def _ours(database: Database, folder: Path) -> None:
    source = database.source(rows=CHUNK)
    result = attempt(new_job(DirectoryStore(folder), source), source, workers=2)
    assert result.counts.succeeded == ROWS[database.dialect] // CHUNK + 1


def _client(database: Database, folder: Path) -> None:
    out = folder / "orders"
    if database.dialect == "postgresql":
        programs = postgres_programs()
        assert programs is not None
        copy = f"\\copy (SELECT * FROM orders ORDER BY id) TO '{out}' CSV"
        subprocess.run([programs / "psql", database.url, "-qc", copy], check=True)
        return
    command = ["mariadb", "-h127.0.0.1", f"-P{database.port}", "-uroot", "--batch", "--quick", database.name]
    with out.open("wb") as file:
        subprocess.run([*command, "-e", "SELECT * FROM orders ORDER BY id"], check=True, stdout=file)


def _pandas(database: Database, folder: Path) -> None:
    driver = "postgresql+psycopg" if database.dialect == "postgresql" else "mysql+pymysql"
    engine = sqlalchemy.create_engine(f"{driver}://{database.url.partition('://')[2]}")
    with engine.connect().execution_options(stream_results=True) as connection:
        frames = pd.read_sql("SELECT * FROM orders ORDER BY id", connection, chunksize=CHUNK)
        for number, frame in enumerate(frames):
            frame.to_parquet(folder / f"{number}.parquet", compression="zstd")


def _seconds(run: Callable[[Database, Path], None], database: Database, folder: Path) -> float:
    folder.mkdir()
    began = time.perf_counter()
    run(database, folder)
    return time.perf_counter() - began


def main() -> None:
    """Read a table with each, ours first and again last, so that caches do not decide."""
    print("| database | rows | prefect-collect, s | client to text, s | pandas to Parquet, s | pandas / ours |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with mariadb() as server, tempfile.TemporaryDirectory() as name:
        for database in (postgres_database(), server.database()):
            _fill(database)
            runs = [("ours", _ours), ("client", _client), ("pandas", _pandas), ("again", _ours)]
            ours, client, pandas, again = (
                _seconds(run, database, Path(name) / f"{database.dialect}-{part}") for part, run in runs
            )
            rows, best = ROWS[database.dialect], min(ours, again)
            print(
                f"| {database.dialect} | {rows:,} | {ours:.1f}, {again:.1f} | {client:.1f} | {pandas:.1f} | "
                f"{pandas / best:.1f} |"
            )


if __name__ == "__main__":
    sys.exit(main())
