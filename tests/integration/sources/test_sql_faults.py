"""Databases that refuse, break off, hang or are damaged, and jobs that are canceled."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from prefect_collect.blocks import DataSource, SqlSource
from prefect_collect.codes import CANCELED
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.sources.sampling import take_sample
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.stop import Stop
from tests.integration.databases import Database
from tests.integration.mail_proxy import MailProxy, mail_proxy
from tests.integration.sources.contract import BreakingContract
from tests.integration.sources.places import Fault, Place, collected, listed_before
from tests.integration.sources.test_sql import Meanwhile, filled, short
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration
ENDLESS = f"SELECT count(*) AS n FROM {', '.join(f'orders AS {name}' for name in 'abcdef')}"
"""A query that takes minutes where `orders` has 30 rows."""


class SqlPlace(Place):
    """A database behind a proxy: an item is a row, which is a slice."""

    def __init__(self, database: Database, proxy: MailProxy) -> None:
        self.database, self.proxy = database, proxy
        self.user = f"ann_{database.name[3:]}"
        if database.dialect == "postgresql":
            database.run(
                f"CREATE ROLE {self.user} LOGIN", "CREATE TABLE item (id serial PRIMARY KEY, data text)",
                f"GRANT SELECT ON item TO {self.user}",
            )  # fmt: skip
        else:
            database.run(
                f"CREATE USER {self.user} IDENTIFIED BY 'x'", f"GRANT SELECT ON {database.name}.* TO {self.user}",
                "CREATE TABLE item (id serial PRIMARY KEY, data longtext)",
            )  # fmt: skip

    def source(self) -> DataSource:
        """Return the database as a user sees it who may read."""
        url = self.database.url.replace("//prefect@", f"//{self.user}@").replace("//root@", f"//{self.user}:x@")
        url = url.replace(f":{self.database.port}/", f":{self.proxy.port}/")
        return SqlSource(name="place", url=url, rows=1, connect_timeout=5, read_timeout=10)

    def put(self, name: str, data: bytes) -> None:
        """Add a row of that size, of digits that do not compress well."""
        text = data.hex()[: len(data)]
        self.database.run("INSERT INTO item (data) VALUES (?)", rows=[(text,)])

    def put_many(self, count: int) -> None:
        """Add rows; one item is the schema."""
        self.database.run("INSERT INTO item (data) VALUES (?)", rows=[(str(n),) for n in range(count - 1)])

    def remove(self, name: str) -> None:
        """Rows are not removed by name."""
        raise NotImplementedError

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault between the client and the server, or take away the right to log in."""
        before = self.proxy.connections
        is_postgres = self.database.dialect == "postgresql"
        if fault == "listing":
            self.proxy.cut_after = [1 << 30, 6_000] if is_postgres else [6_000]
        elif fault == "item":
            self.proxy.cut_after = [1 << 30, 1 << 30, 50_000] if is_postgres else [50_000]
        elif fault == "hang":
            self.proxy.hangs_after = 60_000
        elif fault == "credentials":
            self._set_login(allowed=False)
            self.proxy.cut_all()
        else:
            self.proxy.is_down = True
            self.proxy.cut_all()
        try:
            yield
            assert fault not in ("listing", "item") or self.proxy.connections > before
            assert fault != "hang" or self.proxy.is_hanging.is_set()
        finally:
            self.proxy.is_down, self.proxy.hangs_after = False, None
            if fault == "credentials":
                self._set_login(allowed=True)
            self.proxy.cut_all()

    def _set_login(self, *, allowed: bool) -> None:
        if self.database.dialect == "postgresql":
            self.database.run(f"ALTER ROLE {self.user} {'LOGIN' if allowed else 'NOLOGIN'}")
        else:
            self.database.run(f"ALTER USER {self.user} ACCOUNT {'UNLOCK' if allowed else 'LOCK'}")


@pytest.fixture
def proxy(database: Database) -> Iterator[MailProxy]:
    """A relay to the database."""
    with mail_proxy(database.port) as relay:
        yield relay


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
class TestBreakingSql(BreakingContract):
    """Databases keep the contract where connections break."""

    @pytest.fixture
    def place(self, database: Database, proxy: MailProxy) -> Place:
        """A database with an empty table."""
        return SqlPlace(database, proxy)

    @pytest.mark.parametrize("size", [200_000, 12_000_000])
    def test_a_connection_that_breaks(self, place: Place, tmp_path: Path, size: int) -> None:
        """A slice whose connection breaks is tried again in the same snapshot; where that ends with it, by a retry."""
        assert isinstance(place, SqlPlace)
        place.put("item", os.urandom(size))
        place.put("other", b"other")
        with place.broken("item"):
            folder, status = collected(tmp_path, place.source())
        if place.database.dialect != "postgresql":
            assert status is not JobStatus.SUCCESSFULLY_COMPLETED
            codes = {row["error_code"] for row in unsuccessful(folder).values()}
            assert codes <= {"connection_lost", "changed_during_read"} or job_rows(folder)
            status = attempt(folder, place.source()).status
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)
        assert len(held(folder)) == 3


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
    source = database.source(url=database.url.replace("//prefect@", f"//{user}@").replace("//root@", f"//{user}@"))
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
    user, url = f"few_{database.name[3:]}", database.url
    if database.dialect == "postgresql":
        database.run(f"CREATE ROLE {user} LOGIN CONNECTION LIMIT 0", f"GRANT SELECT ON orders TO {user}")
        url = url.replace("//prefect@", f"//{user}@")
    elif database.dialect == "mysql":
        database.run(f"CREATE USER {user} WITH MAX_USER_CONNECTIONS 1", f"GRANT SELECT ON {database.name}.* TO {user}")
        url = url.replace("//root@", f"//{user}@")
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
        ({"url": postgresql.url.replace("prefect@", "nobody-here@")}, "bad_credentials", "does not exist"),
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_errors_of_sqlite(database: Database, tmp_path: Path) -> None:
    """A file that is not there, is no database or is damaged has its code."""
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough to be read as one" * 20)
    for name, code in (("gone.db", "not_found"), ("text.db", "read_error")):
        with pytest.raises(SourceError) as caught:
            [*items_of(SqlSource(name="x", url=f"sqlite:///{tmp_path / name}"))]
        assert caught.value.code == code
        assert f"; check the path. [sqlite:///{tmp_path / name}]" in str(caught.value)
    filled(database, 3_000)
    path = Path(database.name)
    data = bytearray(path.read_bytes())
    data[3 * 4096 :] = random.Random(3).randbytes(len(data) - 3 * 4096)
    path.write_bytes(data)
    (failed,) = items_of(database.source())
    assert failed.failure is not None
    assert failed.failure.code == "read_error"


def _page(database: Database, index: str) -> slice:
    """Return where in SQLite's file the first page of an index is."""
    ((number, size),) = database.run(
        f"SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = '{index}'"
    )
    return slice((number - 1) * size, number * size)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", ["damaged index", "row missing in index", "key that is no UTF-8"])
def test_a_table_that_cannot_be_sliced(database: Database, fault: str) -> None:
    """A table whose slices cannot be found, or miss a row, is a failed item; the others are whole, and a retry goes on.

    The index of the key is damaged, or has a row less than the table, or a key is no text that can be written.
    """
    filled(database, 3, "after")
    database.run("CREATE TABLE a (id TEXT PRIMARY KEY NOT NULL)")
    database.run("INSERT INTO a VALUES (?)", rows=[(f"key {number}",) for number in range(9)])
    path, page = Path(database.name), _page(database, "sqlite_autoindex_a_1")
    before = path.read_bytes()
    database.run("INSERT INTO a VALUES (?)", rows=[("key 9",)])
    whole = bytearray(path.read_bytes())
    if fault == "key that is no UTF-8":
        database.run("UPDATE a SET id = CAST(x'6b65792032ff' AS TEXT) WHERE id = 'key 2'")
    else:
        damaged = whole[:]
        damaged[page] = (
            before[page] if fault == "row missing in index" else random.Random(1).randbytes(len(before[page]))
        )
        path.write_bytes(damaged)
    source = database.source(rows=3)
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    (failed,) = (row for row in unsuccessful(job).values() if row["path"] == "a/")
    assert failed["error_code"] == ("enumeration_failed" if fault == "row missing in index" else "read_error")
    paths = {row["original_path"] for row in held(job).values()}
    assert {path for path in paths if path.startswith("after")} == {"after/schema.sql", "after/00000.parquet"}
    again = attempt(job, source)
    assert again.status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    path.write_bytes(whole)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert len(held(job)) == 2 + 5


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
        while database.run(asked) != [(0,)]:
            time.sleep(0.1)  # the condition is polled: the server sees within 5 seconds that no client waits
