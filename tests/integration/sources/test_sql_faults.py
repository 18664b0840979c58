"""Databases that refuse, end sessions, are busy or take long, and jobs that are canceled."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.sources.sampling import take_sample
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.stop import Stop
from tests.integration.databases import Database
from tests.integration.jobs.every_status import until
from tests.integration.sources.places import listed_before
from tests.integration.sources.test_sql import Meanwhile, filled, short
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration
ENDLESS = f"SELECT count(*) AS n FROM {', '.join(f'orders AS {name}' for name in 'abcdef')}"
"""A query that takes minutes where `orders` has 30 rows."""


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_table_that_may_not_be_read(database: Database) -> None:
    """A table that the user may not read is a failed item, and the others are not; with the right, a retry goes on."""
    filled(database, 3, "open")
    filled(database, 3, "secret")
    user = f"eve_{database.name[3:]}"
    if database.dialect == "postgresql":
        database.run(f"CREATE ROLE {user} LOGIN", f"GRANT SELECT ON open TO {user}")
    else:
        database.run(
            f"CREATE USER {user}", f"GRANT SELECT ON {database.name}.open TO {user}",
            f"GRANT INSERT ON {database.name}.secret TO {user}",
        )  # fmt: skip
    source = database.source(url=database.url_of(user))
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    codes = {short(row["path"]): row["error_code"] for row in unsuccessful(job).values()}
    assert codes == {"secret/": "access_denied"}
    assert len(held(job)) == 2
    table = "secret" if database.dialect == "postgresql" else f"{database.name}.secret"
    database.run(f"GRANT SELECT ON {table} TO {user}")
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert len(held(job)) == 4


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_session_that_is_ended(database: Database) -> None:
    """If the server ends all sessions, the snapshot is gone: what is left fails, and a retry takes another."""
    filled(database, 30)

    def happens() -> None:
        if database.dialect == "postgresql":
            database.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid()"
            )
            return
        for number, name in database.run("SELECT id, db FROM information_schema.processlist WHERE command <> 'Query'"):
            if name == database.name:
                database.run(f"KILL {number}")

    source = database.source(rows=10)
    job = new_job(MemoryStore(), source)
    result = attempt(job, Meanwhile(source, happens))
    assert result.status in (JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED)
    check_account(job)
    assert {row["error_code"] for row in unsuccessful(job).values()} <= {"connection_lost", "changed_during_read"}
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert len(held(job)) == 4


def test_tables_that_are_dropped_or_changed(database: Database) -> None:
    """Of a table that is dropped between listing and reading, the items are `not_found`, and no retry finds them; of a
    table whose rows are changed, each slice has the rows that there are between its keys when it is read.
    """
    for table in ("gone", "kept"):
        filled(database, 3, table)
    source = database.source(rows=2)
    items = [*items_of(source)]
    job = new_job(MemoryStore(), source)

    def happens() -> None:
        database.run("DROP TABLE gone", "DELETE FROM kept WHERE id = 0", "UPDATE kept SET note = 'changed'")

    assert attempt(job, listed_before(source, items, happens)).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    missing = {short(row["path"]): row["error_code"] for row in unsuccessful(job).values()}
    assert missing == dict.fromkeys(("gone/schema.sql", "gone/00000.parquet", "gone/00001.parquet"), "not_found")
    said = {short(row["path"]): json.loads(row["metadata"]) for row in held(job).values()}
    assert {path: each.get("rows") for path, each in said.items()} == {
        "kept/schema.sql": None, "kept/00000.parquet": 1, "kept/00001.parquet": 1,
    }  # fmt: skip
    assert [again for item in items if short(item.path).startswith("gone") for again in source.relist(item)] == []
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)


def test_a_database_that_is_busy(database: Database) -> None:
    """A server that allows no more connections, and a file that another program writes to, are `throttled`; a later
    attempt collects the database.
    """
    filled(database, 3)
    user = f"few_{database.name[3:]}"
    url = database.url_of(user)
    if database.dialect == "postgresql":
        database.run(f"CREATE ROLE {user} LOGIN CONNECTION LIMIT 0", f"GRANT SELECT ON orders TO {user}")
    elif database.dialect == "mysql":
        database.run(f"CREATE USER {user} WITH MAX_USER_CONNECTIONS 1", f"GRANT SELECT ON {database.name}.* TO {user}")
    source = database.source(url=url, connect_timeout=0.5, read_timeout=0.5)
    job = new_job(MemoryStore(), source)
    with busy(database, user):
        assert attempt(job, source).status is JobStatus.FAILED
    assert set(job_rows(job)) == {"throttled"}
    later = database.source(url=url)
    if database.dialect == "postgresql":
        database.run(f"ALTER ROLE {user} CONNECTION LIMIT 10")
    assert attempt(job, later).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)


@contextmanager
def busy(database: Database, user: str) -> Iterator[None]:
    """Hold MariaDB's only connection for a user, or SQLite's file."""
    if database.dialect == "mysql":
        with pymysql.connect(host="127.0.0.1", port=database.port, user=user):
            yield
    elif database.dialect == "sqlite":
        with closing(sqlite3.connect(database.name, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
    else:
        yield


def test_errors_of_postgresql(postgresql: Database) -> None:
    """What PostgreSQL says becomes a code, and its number is in the message."""
    filled(postgresql, 3)
    postgresql.run("CREATE VIEW broken AS SELECT 1 / (id - id) AS x FROM orders")
    for fields, code, says in (
        ({"url": postgresql.url_of("nobody-here")}, "bad_credentials", "does not exist"),
        ({"url": f"{postgresql.url}x"}, "not_found", "does not exist"),
        ({"url": postgresql.url.replace(f":{postgresql.port}/", ":1/")}, "connection_lost", "refused"),
    ):
        with pytest.raises(SourceError, match=says) as caught:
            [*items_of(postgresql.source(**dict[str, Any](fields)))]
        assert caught.value.code == code
    job = new_job(MemoryStore(), source := postgresql.source(views=True))
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    codes = {row["path"]: row["error_code"] for row in unsuccessful(job).values()}
    assert codes == {"public/broken/00000.parquet": "read_error"}
    with pytest.raises(SourceError, match=r"gave nothing for 0\.5 s") as caught:
        [*items_of(postgresql.source(query="SELECT count(pg_sleep(60))", read_timeout=0.5))]
    assert caught.value.code == "timeout"


def test_a_look(database: Database) -> None:
    """A look at a source lists its first items, and ends in time where a query takes long."""
    filled(database, 30)
    sample = take_sample(database.source(rows=10), 2, 30)
    assert [short(item.path) for item in sample.items] == ["orders/schema.sql", "orders/00000.parquet"]
    assert sample.failure is None
    assert take_sample(database.source(query=ENDLESS), 2, 0.5).timed_out


@pytest.mark.parametrize("database", ["postgresql", "sqlite"], indirect=True)
def test_a_cancel_ends_a_query(database: Database) -> None:
    """A cancel ends a query that the database still works on, and the server is rid of it."""
    filled(database, 30)
    source, stop = database.source(query=ENDLESS), Stop()
    job = new_job(MemoryStore(), source)
    threading.Timer(0.5, stop.set, [CANCELED]).start()
    assert attempt(job, source, stop=stop).status is JobStatus.CANCELED
    check_account(job)
    if database.dialect == "postgresql":
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%orders AS f%' "
            "AND pid <> pg_backend_pid()"
        )
        until(lambda: database.run(asked) == [(0,)], "the server to see that no client waits, in 5 seconds", every=0.1)
