"""Databases as sources: what holds of PostgreSQL, MariaDB and SQLite alike."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DataSource, SqlSource
from prefect_collect.collecting.incremental import since_options
from prefect_collect.errors import SourceNotFound
from prefect_collect.packages import verify
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.databases import PASSWORD, Database
from tests.integration.prefect_server import PrefectServer
from tests.integration.sources.places import read
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


def by_path(source: DataSource) -> dict[str, Item]:
    """Return the items of a proven listing by their last two path parts: ``orders/00000.parquet``."""
    return {short(item.path): item for item in items_of(source)}


def short(path: str) -> str:
    """Return a path without the folder of the schema."""
    return path.removeprefix("public/")


def table_of(source: DataSource, item: Item) -> pa.Table:
    """Return the rows of a slice."""
    return pq.read_table(io.BytesIO(read(source, item)))


def filled(database: Database, rows: int, table: str = "orders") -> None:
    """Make a table with a key, and put rows into it."""
    name = database.quoted(table)
    database.run(f"CREATE TABLE {name} (id integer PRIMARY KEY, note varchar(200))")
    if rows:
        database.run(f"INSERT INTO {name} VALUES (?, ?)", rows=[(number, f"note {number}") for number in range(rows)])


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_the_whole_way(
    prefect_server: PrefectServer, database: Database, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The flow collects tables in slices and exports them to a package that verifies; a password shows nowhere."""
    if database.dialect == "mysql":
        database.run(f"CREATE USER 'ann'@'%' IDENTIFIED BY '{PASSWORD}'", "GRANT SELECT ON *.* TO 'ann'@'%'")
    filled(database, 25)
    url = database.url
    if database.dialect != "sqlite":
        user = "ann" if database.dialect == "mysql" else "prefect"
        url = f"{url.partition('://')[0]}://{user}:{PASSWORD.replace('/', '%2F')}@{url.rpartition('@')[2]}"
    store = str(tmp_path / "store")
    with prefect_server.used():
        source = SqlSource(name="sales", url=url, rows=10)
        state = collect(source=source, store=store, return_state=True)
        assert state.name == "Successfully completed", state.message
        job = jobs.get(str(state.state_details.flow_run_id))
        assert job.result is not None
        rows = {short(row["path"]): row for row in job.result.successful.to_arrow().to_pylist()}
        assert rows.keys() == {"orders/schema.sql", *(f"orders/0000{number}.parquet" for number in range(3))}
        said = [json.loads(row["metadata"]) for path, row in sorted(rows.items()) if path.endswith(".parquet")]
        assert [(each["rows"], each.get("after"), each.get("to")) for each in said] == [
            (10, None, bounds(database, 9)), (10, bounds(database, 9), bounds(database, 19)),
            (5, bounds(database, 19), None),
        ]  # fmt: skip
        assert len({each["snapshot"] for each in said}) == 1
        state = export(job.id, str(tmp_path / "out"), "directory", store=store, return_state=True)
        assert state.name == "Successfully completed", state.message
        (package,) = (tmp_path / "out").iterdir()
        assert verify(package).valid
        files = sorted((package / "data").rglob("*.parquet"))
        assert sorted(pa.concat_tables(pq.read_table(path) for path in files)["id"].to_pylist()) == [*range(25)]
        shown = repr((source, job, job.parameters, job.result, job.record, state)) + str(capfd.readouterr())
    secrets = [PASSWORD.encode(), PASSWORD.replace("/", "%2F").encode()]
    held_by_prefect = prefect_server.stored()
    assert not [secret for secret in secrets if secret in shown.encode() or secret in held_by_prefect]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [secret for secret in secrets if any(secret in data for data in written)]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_connector_of_prefect(prefect_server: PrefectServer, database: Database, tmp_path: Path) -> None:
    """A saved block SQLAlchemy Connector names the database; the source has its name alone, and no secret."""
    filled(database, 3)
    user = f"bob_{database.name[3:]}"
    database.run(f"CREATE USER '{user}' IDENTIFIED BY '{PASSWORD}'", f"GRANT SELECT ON *.* TO '{user}'")
    info = ConnectionComponents(
        driver="mysql+pymysql", database=database.name, username=user, password=PASSWORD, host="127.0.0.1",
        port=database.port,
    )  # fmt: skip
    with prefect_server.used():
        connector: Any = SqlAlchemyConnector(connection_info=info, connect_args={"charset": "utf8mb4"})
        connector.save("sales")
        source = SqlSource(connector="sales")
        assert source.location() == "sqlalchemy-connector/sales"
        state = collect(source=source, store=str(tmp_path / "store"), return_state=True)
        assert state.name == "Successfully completed", state.message
        assert jobs.get(str(state.state_details.flow_run_id)).result.counts.succeeded == 2  # type: ignore[union-attr]
        with pytest.raises(SourceNotFound, match="No block is saved"):
            [*items_of(SqlSource(connector="gone"))]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def bounds(database: Database, number: int) -> list[Any]:
    """Return a key as metadata shows it."""
    return [number if database.dialect == "sqlite" else str(number)]


def test_many_rows(database: Database) -> None:
    """10,000 rows in slices of 1,000 are all there once, in their keys' order; a second job has the same bytes."""
    filled(database, 10_000)
    source = database.source(rows=1_000)
    first, second = (new_job(MemoryStore(), source) for _ in range(2))
    for job in (first, second):
        assert attempt(job, source, workers=2).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(job)
    assert len(held(first)) == 11
    rows = [row for row in by_path(source).values() if row.path.endswith(".parquet")]
    ids = [table_of(source, item)["id"].to_pylist() for item in rows]
    assert [*chain.from_iterable(ids)] == [*range(10_000)]
    hashes = [{id_: row["sha256"] for id_, row in held(job).items()} for job in (first, second)]
    assert hashes[0] == hashes[1]


def test_a_slice_that_ends_the_table(database: Database) -> None:
    """A table whose rows fill its slices exactly has no empty slice; one with a row more has one more slice."""
    filled(database, 20)
    listed = by_path(database.source(rows=10))
    assert listed.keys() == {"orders/schema.sql", "orders/00000.parquet", "orders/00001.parquet"}
    database.run("INSERT INTO orders VALUES (100, 'more')")
    source = database.source(rows=10)
    assert table_of(source, by_path(source)["orders/00002.parquet"])["id"].to_pylist() == [100]


def test_odd_names(database: Database) -> None:
    """Tables and columns with quotes, percent signs, slashes and 63 bytes are found again from their ids alone."""
    odd = [
        'a"b',
        "a`b",
        "100%",
        "%s",
        "x'y",
        "日本語",
        "a.b",
        "a/b",
        "select",
        "new\nline",
        "A",
        "é" * 31 + "x",
        "..",
        "-- x",
    ]
    if database.dialect == "mysql":
        odd.remove("A")  # the same as `a` where file names are
    for name in odd:
        quoted = database.quoted(name)
        database.run(f"CREATE TABLE {quoted} ({quoted} integer PRIMARY KEY, note varchar(10))")
        database.run(f"INSERT INTO {quoted} VALUES (1, 'a'), (2, 'b')")
    source = database.source(rows=1)
    slices = [item for item in items_of(source) if not item.path.endswith(".sql")]
    assert len(slices) == 2 * len(odd)
    for item in slices:
        table = table_of(source, Item(item.id, ""))
        assert table.num_rows == 1
        assert table.column_names[0] in odd
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert len(held(job)) == 3 * len(odd)


def test_keys_of_several_columns(database: Database) -> None:
    """A key of a text and a number is followed over the bounds of slices, whatever the texts hold."""
    database.run("CREATE TABLE t (a varchar(20) NOT NULL, b bigint NOT NULL, note varchar(9), PRIMARY KEY (a, b))")
    keys = [(text, number) for text in ("", "a", "a'b", "a\\b", "ö", "B", "%") for number in (-(2**62), 0, 1, 2**62)]
    database.run("INSERT INTO t VALUES (?, ?, 'x')", rows=keys)
    source = database.source(rows=3)
    slices = [item for item in items_of(source) if not item.path.endswith(".sql")]
    found = [pair for item in slices for pair in zip(*table_of(source, item).to_pydict().values(), strict=True)]
    assert len(slices) == 10
    assert sorted((a, b) for a, b, _ in found) == sorted(keys)


def test_a_table_without_a_key(database: Database) -> None:
    """A table without a key is one slice, ordered by all columns, so that its bytes do not depend on its storage."""
    for name, order in (("first", ""), ("second", " DESC")):
        database.run(f"CREATE TABLE {name} (a integer, b varchar(9))")
        database.run(
            f"INSERT INTO {name} SELECT * FROM (SELECT 1 AS a, 'x' AS b UNION ALL SELECT NULL, 'X' UNION ALL "
            f"SELECT 1, 'X' UNION ALL SELECT 2, NULL UNION ALL SELECT 1, 'x') AS q ORDER BY 1{order}, 2{order}"
        )
    source = database.source(rows=2)
    items = by_path(source)
    assert len(items) == 4
    assert read(source, items["first/00000.parquet"]) == read(source, items["second/00000.parquet"])
    with source.open(items["first/00000.parquet"]) as content:
        assert b"".join(bytes(chunk) for chunk in content.chunks)
        assert content.metadata is not None
        assert (content.metadata["rows"], content.metadata["order"]) == (5, "no key: all columns")


def test_tables_that_are_chosen(database: Database) -> None:
    """Tables are chosen by name, by the job's query, or as a query; views are collected if they are asked for."""
    for name in ("orders", "people", "old_orders"):
        filled(database, 3, name)
    database.run("CREATE VIEW large AS SELECT * FROM orders WHERE id > 0")

    def tables(source: DataSource) -> set[str]:
        return {path.partition("/")[0] for path in by_path(source)}

    assert tables(database.source()) == {"orders", "people", "old_orders"}
    assert tables(database.source(views=True)) == {"orders", "people", "old_orders", "large"}
    assert tables(database.source(tables=["*orders"])) == {"orders", "old_orders"}
    assert tables(database.source(tables="large")) == {"large"}
    job = new_job(MemoryStore(), database.source(), query={"include": ["**/people/**", "people/**"]})
    result = attempt(job, database.source())
    assert {short(row["path"]) for row in held(job).values()} == {"people/schema.sql", "people/00000.parquet"}
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    asked = database.source(query="SELECT id, id + 1 AS next_one FROM orders WHERE id < 2; ")
    items = by_path(asked)
    assert items.keys() == {"query/schema.sql", "query/00000.parquet"}
    assert table_of(asked, items["query/00000.parquet"]).to_pydict() == {"id": [0, 1], "next_one": [1, 2]}
    assert read(asked, items["query/schema.sql"]).decode() == (
        "SELECT id, id + 1 AS next_one FROM orders WHERE id < 2;\n"
    )


def test_a_query_cannot_write(database: Database) -> None:
    """A query that changes something, or ends and begins another statement, fails and changes nothing."""
    filled(database, 3)
    for query in (
        "SELECT 1) AS q; DELETE FROM orders; --", "DELETE FROM orders RETURNING id", "SELECT 1; DELETE FROM orders",
    ):  # fmt: skip
        (failed, *_) = [*items_of(database.source(query=query))]
        assert failed.failure is not None
        assert failed.path == "query/"
    assert database.run("SELECT count(*) FROM orders") == [(3,)]


def test_empty_tables_and_missing_ones(database: Database) -> None:
    """An empty table gives a file without rows and with its columns; a table that is not there is a failed item."""
    filled(database, 0)
    source = database.source(tables=["orders", "gone"])
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(job)
    assert {row["path"]: row["error_code"] for row in unsuccessful(job).values()} == {"gone/": "not_found"}
    empty = table_of(source, by_path(source)["orders/00000.parquet"])
    assert (empty.num_rows, empty.column_names) == (0, ["id", "note"])
    filled(database, 2, "gone")
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    assert {short(row["path"]) for row in held(job).values()} == {
        "orders/schema.sql", "orders/00000.parquet", "gone/schema.sql", "gone/00000.parquet",
    }  # fmt: skip


def test_an_empty_database(database: Database) -> None:
    """A database without tables is listed: there is nothing, and that is proven."""
    database.run("CREATE TABLE gone (id integer)", "DROP TABLE gone")
    assert [*items_of(database.source())] == []


class Meanwhile:
    """A source to which something happens when it has been listed, before its first item is read."""

    def __init__(self, source: SqlSource, then: Callable[[], object]) -> None:
        self._source, self._then = source, [then]
        self.name = source.name

    def for_attempt(self, *, elsewhere: bool) -> Any:
        """Keep what the source keeps."""
        return self._source.for_attempt(elsewhere=elsewhere)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item, before the first of which it happens."""
        while self._then:
            self._then.pop()()
        return self._source.open(item)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


@pytest.mark.parametrize("database", ["postgresql", "mariadb", "sqlite-wal"], indirect=True)
def test_what_happens_while_a_job_runs(database: Database) -> None:
    """Rows that are deleted, changed or added after the listing are collected as they were, in one snapshot."""
    filled(database, 30)

    def happens() -> None:
        database.run("DELETE FROM orders WHERE id < 15", "UPDATE orders SET note = 'changed'")
        database.run("INSERT INTO orders VALUES (1000, 'new')")

    source = database.source(rows=10)
    job = new_job(MemoryStore(), source)
    assert attempt(job, Meanwhile(source, happens)).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job)
    said = [json.loads(row["metadata"]) for row in held(job).values()]
    assert len({each["snapshot"] for each in said}) == 1
    assert [each["rows"] for each in said if "rows" in each] == [10, 10, 10]
    later = database.source(rows=10)
    assert len([*items_of(later)]) == 3
    # The hash is of the rows as CSV.
    csv = "".join(f'"{number}","note {number}"\n' for number in range(10)).encode()
    first = next(each for each in said if "after" not in each and "rows" in each)
    assert first["rows_sha256"] == hashlib.sha256(csv).hexdigest()


def test_only_what_is_new(database: Database) -> None:
    """An incremental job skips slices that have the same bytes as before, and collects those that have not."""
    filled(database, 25)
    store, source = MemoryStore(), database.source(rows=10)
    assert attempt(new_job(store, source), source).status is JobStatus.SUCCESSFULLY_COMPLETED
    database.run("UPDATE orders SET note = 'changed' WHERE id = 12", "INSERT INTO orders VALUES (100, 'new')")
    later = new_job(store, source, options=since_options(store, new_job(store, source).record()))
    assert attempt(later, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(later)
    assert {short(row["path"]) for row in held(later).values()} == {"orders/00001.parquet", "orders/00002.parquet"}
    assert {row["error_code"] for row in unsuccessful(later).values()} == {"unchanged"}
