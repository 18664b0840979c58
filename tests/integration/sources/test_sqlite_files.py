"""Files of SQLite that are not there, are no database or are damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from prefect_collect.blocks import SqlSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.databases import Database
from tests.integration.sources.test_sql import filled
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


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
