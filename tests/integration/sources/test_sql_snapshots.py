"""What a collection of a database sees: tables, their schemas and rows, in the snapshot of its listing."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from prefect_collect.blocks import SqlSource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.databases import Database
from tests.integration.sources.places import read
from tests.integration.sources.test_sql import Meanwhile, filled
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job

pytestmark = pytest.mark.integration


def test_tables_of_postgresql(postgresql: Database) -> None:
    """Partitions are read with their table, a table that others inherit from alone, views if asked."""
    postgresql.run(
        "CREATE TABLE part (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE p1 PARTITION OF part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "CREATE TABLE p2 PARTITION OF part DEFAULT",
        "INSERT INTO part SELECT g, date '2025-12-01' + g FROM generate_series(1, 60) g",
        "CREATE TABLE base (id integer)", "CREATE TABLE child (more integer) INHERITS (base)",
        "INSERT INTO base VALUES (1)", "INSERT INTO child VALUES (2, 3)",
        "CREATE MATERIALIZED VIEW seen AS SELECT id FROM part WHERE id < 3",
        "CREATE UNLOGGED TABLE fast (id integer)", "CREATE SCHEMA \"Other Schema\"",
        "CREATE TABLE \"Other Schema\".part (id integer PRIMARY KEY)",
    )  # fmt: skip
    source = postgresql.source(rows=25)
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    said = {row["path"]: json.loads(row["metadata"]).get("rows") for row in held(job).values()}
    assert {path: rows for path, rows in said.items() if rows is not None} == {
        "public/part/00000.parquet": 25, "public/part/00001.parquet": 25, "public/part/00002.parquet": 10,
        "public/base/00000.parquet": 1, "public/child/00000.parquet": 1, "public/fast/00000.parquet": 0,
        "Other Schema/part/00000.parquet": 0,
    }  # fmt: skip
    viewed = [item.path for item in items_of(postgresql.source(views=True)) if item.path.startswith("public/seen/")]
    assert viewed == ["public/seen/schema.sql", "public/seen/00000.parquet"]


def test_schemas(database: Database) -> None:
    """The schema of a table makes the same table again, in its own database's words."""
    database.run(
        "CREATE TABLE people (id integer PRIMARY KEY, name varchar(40) DEFAULT 'x' NOT NULL, UNIQUE (name))",
        "CREATE TABLE orders (id integer PRIMARY KEY, who integer REFERENCES people (id), n numeric(5,2), "
        "twice integer GENERATED ALWAYS AS (id * 2) STORED, CHECK (n > 0))",
        "CREATE INDEX on_n ON orders (n)",
    )
    source = database.source()
    before = {item.path: read(source, item).decode() for item in items_of(source) if item.path.endswith(".sql")}
    database.run("DROP TABLE orders", "DROP TABLE people")
    for path in sorted(before, reverse=True):
        for statement in before[path].split(";\n"):
            if statement.strip():
                database.run(statement)
    after = {item.path: read(source, item).decode() for item in items_of(source) if item.path.endswith(".sql")}
    assert after == before
    assert "on_n" in before[next(path for path in before if "orders" in path)]


def test_rows_that_policies_hide(postgresql: Database) -> None:
    """A user from whom a policy hides rows gets an error for the table, not fewer rows."""
    filled(postgresql, 3)
    user = f"eve_{postgresql.name[3:]}"
    postgresql.run(
        f"CREATE ROLE {user} LOGIN", f"GRANT SELECT ON orders TO {user}",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "CREATE POLICY few ON orders USING (id < 2)",
    )  # fmt: skip
    (item,) = items_of(postgresql.source(url=postgresql.url_of(user)))
    assert item.failure is not None
    assert item.failure.code == "access_denied"
    assert "row-level security" in item.failure.message


def test_tables_keep_their_structure(postgresql: Database) -> None:
    """While a job runs, TRUNCATE of a table waits, as no snapshot would show its rows; the job does not."""
    filled(postgresql, 30)
    done = threading.Event()

    def truncate() -> None:
        postgresql.run("TRUNCATE orders")
        done.set()

    def happens() -> None:
        threading.Thread(target=truncate, daemon=True).start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"
        while postgresql.run(waiting) == [(0,)]:
            time.sleep(0.01)  # the condition is polled: the database tells who waits only when it is asked
        assert not done.is_set()

    source = postgresql.source(rows=10)
    job = new_job(MemoryStore(), source)
    assert attempt(job, Meanwhile(source, happens)).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert sum(json.loads(row["metadata"]).get("rows", 0) for row in held(job).values()) == 30
    assert done.wait(30)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_tables_of_mariadb_that_are_made_anew(database: Database) -> None:
    """A table that is emptied between the snapshot and its first read fails, as its rows cannot be seen any more."""
    filled(database, 5, "a")
    filled(database, 5, "b")
    database.run("CREATE TABLE c (id integer PRIMARY KEY) ENGINE = MyISAM", "INSERT INTO c VALUES (1)")
    source = database.source(tables=["b", "c"])
    job = new_job(MemoryStore(), source)
    with source.for_attempt(elsewhere=False) as kept:
        kept.snapshot.require_begun()
        database.run("TRUNCATE TABLE b", "INSERT INTO b VALUES (1, 'new')")
        items = [item for item in kept.items() if isinstance(item, Item)]
    assert [item.failure.code for item in items if item.failure] == ["changed_during_read"]
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    notes = [json.loads(row["metadata"]).get("note", "") for row in held(job).values() if "c/0" in row["path"]]
    assert notes == ["tables of MyISAM have no snapshots: a slice is as it was when it was read"]


def _read_elsewhere(source: SqlSource, item: Item, answers: object) -> None:
    with source.open(item) as content:
        data = b"".join(bytes(chunk) for chunk in content.chunks)
    answers.put((len(data), dict(content.metadata or {}), content.version))  # type: ignore[attr-defined]


@pytest.mark.parametrize("database", ["postgresql", "mariadb", "sqlite-wal"], indirect=True)
def test_other_processes(database: Database) -> None:
    """Another process reads in PostgreSQL's snapshot of the listing; of others in one of its own, which is said."""
    filled(database, 20)
    source = database.source()
    with source.for_attempt(elsewhere=True) as kept:
        (item,) = (item for item in kept.items() if isinstance(item, Item) and item.path.endswith(".parquet"))
        database.run("DELETE FROM orders WHERE id < 5")
        processes = multiprocessing.get_context("fork")
        answers = processes.Queue()
        process = processes.Process(target=_read_elsewhere, args=(source, item, answers))
        process.start()
        _, said, version = answers.get(timeout=60)
        process.join(30)
        snapshot, warnings = kept.snapshot.title, kept.warnings
    if database.dialect == "postgresql":
        assert (said["rows"], said["snapshot"], version) == (20, snapshot, item.version)
        assert warnings == []
    else:
        assert (said["rows"], version) == (15, None)
        assert said["snapshot"] != snapshot
        assert "does not share" in said["other_snapshot"]
        assert "does not share a snapshot" in warnings[0]


def test_after_the_attempt(database: Database) -> None:
    """An item is not read in another snapshot than its attempt's once that has ended; without an attempt, it is."""
    filled(database, 3)
    source = database.source()
    with source.for_attempt(elsewhere=False) as kept:
        item = [item for item in kept.items() if isinstance(item, Item)][-1]
        assert read(source, item)
    with pytest.raises(SourceError, match="has ended") as caught:
        read(source, item)
    assert caught.value.code == "changed_during_read"
    assert read(source, Item(item.id, item.path))


def test_rows_that_are_wide(postgresql: Database) -> None:
    """Memory is that of a block of rows, whatever a slice has: 160 MiB of rows of 4 MiB each."""
    postgresql.run(
        "CREATE TABLE wide (id integer PRIMARY KEY, raw text)",
        "ALTER TABLE wide ALTER raw SET STORAGE EXTERNAL",
        "INSERT INTO wide SELECT g, repeat(md5(g::text), 131072) FROM generate_series(1, 40) g",
    )
    source = postgresql.source()
    (item,) = (item for item in items_of(source) if item.path.endswith(".parquet"))
    pieces: list[int] = []
    before = _peak()
    with source.open(item) as content:
        assert isinstance(content, Content)
        pieces = [len(chunk) for chunk in content.chunks]
    assert content.metadata is not None
    assert content.metadata["rows"] == 40
    assert len(pieces) > 10
    assert _peak() - before < 140 << 20


def _peak() -> int:
    """Return the most memory that this process has had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10
