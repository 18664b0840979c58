"""Databases as sources: what holds of PostgreSQL, MariaDB and SQLite alike."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DataSource, SqlSource
from prefect_collect.packages import verify
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from tests.integration.databases import PASSWORD, Database
from tests.integration.prefect_server import PrefectServer
from tests.integration.sources.contract import read

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


def bounds(database: Database, number: int) -> list[Any]:
    """Return a key as metadata shows it."""
    return [number if database.dialect == "sqlite" else str(number)]
