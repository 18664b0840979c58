"""Exports of databases as datasets: what DuckDB and pandas read in them, and that every row is counted."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.blocks import SqlSource
from prefect_collect.errors import UsageError
from prefect_collect.formats import require_source
from prefect_collect.formats.dataset import Dataset
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import verify
from prefect_collect.packages.datasets.places import TablePlaces, escaped
from prefect_collect.packages.datasets.table_rows import count_csv, csv_chunks
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.support.run_attempts import attempt, export, held, new_job

TEXTS = ["plain", 'say "hi"', "two\nlines, one comma", "", None, "=1+1", "Grüße"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """Return a collection of a database with 250 orders in slices of 100, notes with odd values, and an odd name."""
    path = tmp_path_factory.mktemp("database") / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, paid INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, n / 4, n % 2) for n in range(250)])
        database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, data BLOB)")
        database.executemany("INSERT INTO notes VALUES (?, ?, ?)", [(n, t, b"\0\xff") for n, t in enumerate(TEXTS)])
        database.execute('CREATE TABLE "50% of: it" (id INTEGER PRIMARY KEY)')
    database.close()
    source = SqlSource(url=f"sqlite:///{path}", rows=100)
    job = new_job(DirectoryStore(path.parent / "staging"), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    return job


def files_of(path: Path) -> dict[str, bytes]:
    """Return the files of a package by their names below its base folder."""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            return {name.removeprefix("test/"): archive.read(name) for name in archive.namelist()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def asked(query: str) -> list[Any]:
    """Return the rows that DuckDB answers."""
    found = duckdb.sql(query)
    assert found is not None
    return found.fetchall()


def test_the_tables_are_opened_by_duckdb_and_pandas(collection: JobFolder, tmp_path: Path) -> None:
    """A folder a table, with the slices byte for byte; all rows are there; the ZIP file has the same files."""
    _, result = export(collection, DirectoryStore(tmp_path), "dataset-directory")
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    folder = tmp_path / "test"
    found = asked(f"SELECT count(*), sum(total), min(id), max(id) FROM '{folder}/TABLES/orders/*.parquet'")
    assert found == [(250, sum(n / 4 for n in range(250)), 0, 249)]
    notes = pandas.read_parquet(folder / "TABLES" / "notes")
    assert [None if text is None or text != text else text for text in notes["text"]] == TEXTS
    assert [*notes["data"]] == [b"\0\xff"] * len(TEXTS)
    files = files_of(folder)
    digests = {row["sha256"] for row in held(collection).values()}
    assert {hashlib.sha256(data).digest() for name, data in files.items() if "/" in name} == digests
    said = json.loads(files["dataset.json"])
    assert (said["row_count"], said["found"], said["exceptions"]) == (257, 8, 0)
    assert [(table["name"], table["row_count"], len(table["slices"])) for table in said["tables"]] == [
        (["50% of: it"], 0, 1), (["notes"], 7, 1), (["orders"], 250, 3),
    ]  # fmt: skip
    assert said["tables"][2]["columns"] == [
        {"name": "id", "type": "int64"}, {"name": "total", "type": "double"}, {"name": "paid", "type": "int64"},
    ]  # fmt: skip
    assert [one["row_count"] for one in said["tables"][2]["slices"]] == [100, 100, 50]
    stated = {one["path"]: one["metadata"] for one in map(json.loads, files["metadata.jsonl"].splitlines())}
    assert {len(stated[f"TABLES/orders/0000{n}.parquet"]["rows_sha256"]) for n in range(3)} == {64}
    assert b"CREATE TABLE orders" in files["SCHEMAS/orders.sql"]
    assert "TABLES/50%25 of%3A it/00000.parquet" in files
    checked = verify(folder)
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 8, 0)
    _, zipped = export(collection, DirectoryStore(tmp_path), "dataset")
    assert files_of(tmp_path / "test.zip") == files
    assert zipped.fingerprint == result.fingerprint == checked.fingerprint
    assert verify(tmp_path / "test.zip").problems == []


def test_hive_names_are_a_column(collection: JobFolder, tmp_path: Path) -> None:
    """With names as Hive has them, readers have the table's name as a column, also an escaped one."""
    export(collection, DirectoryStore(tmp_path), "dataset-directory", dataset=Dataset(hive=True))
    tables = f"'{tmp_path}/test/TABLES/*/*.parquet'"
    query = (
        f'SELECT "table", count(*) FROM read_parquet({tables}, hive_partitioning=true, union_by_name=true) GROUP BY 1'
    )
    assert sorted(asked(query)) == [("notes", 7), ("orders", 250)]
    assert (tmp_path / "test" / "TABLES" / "table=orders" / "part-00002.parquet").is_file()
    read = pandas.read_parquet(tmp_path / "test" / "TABLES", filters=[("table", "==", "orders")])
    assert (len(read), {*read["table"]}) == (250, {"orders"})
    assert verify(tmp_path / "test").valid


def test_rows_as_csv(collection: JobFolder, tmp_path: Path) -> None:
    """Every value comes back from CSV, NULL apart from an empty text; each export gives the same bytes."""
    _, result = export(collection, DirectoryStore(tmp_path), "dataset", dataset=Dataset(rows="csv"))
    _, again = export(collection, DirectoryStore(tmp_path / "again"), "dataset-directory", dataset=Dataset(rows="csv"))
    assert result.fingerprint == again.fingerprint
    folder = tmp_path / "again" / "test"
    assert files_of(folder) == files_of(tmp_path / "test.zip")
    options = "header=true, allow_quoted_nulls=false, all_varchar=true, quote='\"', escape='\"'"
    notes = asked(f"SELECT text, data FROM read_csv('{folder}/TABLES/notes/*.csv', {options})")
    assert notes == [(text, r"\x00ff") for text in TEXTS]
    orders = pandas.concat(map(pandas.read_csv, sorted((folder / "TABLES" / "orders").glob("*.csv"))))
    assert [*orders["total"]] == [n / 4 for n in range(250)]
    assert (folder / "TABLES" / "50%25 of%3A it" / "00000.csv").read_bytes() == b'"id"\n'
    checked = verify(folder)
    assert (checked.problems, checked.items) == ([], 8)
    assert json.loads((folder / "dataset.json").read_bytes())["row_count"] == 257
    assert verify(tmp_path / "test.zip").problems == []


Change = Callable[[dict[str, Any]], None]


def _other_count(said: dict[str, Any]) -> None:
    said["tables"][2]["slices"][0]["row_count"] -= 1
    said["tables"][2]["row_count"] -= 1
    said["row_count"] -= 1


def _other_type(said: dict[str, Any]) -> None:
    said["tables"][2]["columns"][0]["type"] = "int32"


def _no_slice(said: dict[str, Any]) -> None:
    gone = said["tables"][2]["slices"].pop()
    said["tables"][2]["row_count"] -= gone["row_count"]
    said["row_count"] -= gone["row_count"]


def _one_more(said: dict[str, Any]) -> None:
    said["tables"][0]["slices"].append({"path": "TABLES/x.parquet", "row_count": 1})


def _other_sum(said: dict[str, Any]) -> None:
    said["row_count"] += 1


def _no_tables(said: dict[str, Any]) -> None:
    del said["tables"]


@pytest.mark.parametrize(
    ("rows", "change", "problem"),
    [
        ("parquet", _other_count, "it has 100 rows, but dataset.json states 99"),
        ("csv", _other_count, "it has 100 rows, but dataset.json states 99"),
        ("parquet", _other_type, "it has other columns than dataset.json states"),
        ("parquet", _no_slice, "dataset.json does not state it"),
        ("parquet", _one_more, "dataset.json states it, but no delivered item is it"),
        ("parquet", _other_sum, "it states 258 rows in all, but its slices have 257"),
        ("parquet", _no_tables, "it does not state its tables as it should"),
    ],
)
def test_wrong_counts_are_found(collection: JobFolder, tmp_path: Path, rows: Any, change: Change, problem: str) -> None:
    """Rows, columns and slices are compared with the files, also where every hash is right."""
    export(collection, DirectoryStore(tmp_path), "dataset-directory", dataset=Dataset(rows=rows))
    path, seal = tmp_path / "test" / "dataset.json", tmp_path / "test" / "manifest-sha256.txt"
    before = path.read_bytes()
    said = json.loads(before)
    change(said)
    path.write_text(json.dumps(said))
    old, new = (hashlib.sha256(data).hexdigest() for data in (before, path.read_bytes()))
    seal.write_text(seal.read_text().replace(old, new))
    assert problem in [found.what for found in verify(tmp_path / "test").problems]


def test_a_retry_after_repair_adds_the_slice(collection: JobFolder, tmp_path: Path) -> None:
    """A slice whose bytes are damaged is an exception, and its rows are not counted; after the repair all are there."""
    [orders] = [row for row in held(collection).values() if row["path"] == "orders/00001.parquet"]
    segment = Path(collection.store.locate(f"{collection.job_id}/{orders['segment']}"))
    whole = segment.read_bytes()
    segment.write_bytes(whole[: orders["offset"]] + b"X" + whole[orders["offset"] + 1 :])
    out = DirectoryStore(tmp_path)
    try:
        job, first = export(collection, out, "dataset")
    finally:
        segment.write_bytes(whole)
    assert first.status is JobStatus.PARTIALLY_COMPLETED
    said = json.loads(files_of(tmp_path / "test.zip")["dataset.json"])
    assert (said["row_count"], said["exceptions"]) == (157, 1)
    assert verify(tmp_path / "test.zip").not_delivered == 1
    _, second = export(collection, out, "dataset", job)
    assert second.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert json.loads(files_of(tmp_path / "test.zip")["dataset.json"])["row_count"] == 257


def test_another_source_is_refused_in_words() -> None:
    """Only the collection of a database becomes a dataset; mail of any source that may have messages."""
    with pytest.raises(
        UsageError, match=r"collection from sql-source, and this one is from file-source; export it as bagit"
    ):
        require_source("dataset", {"type": "file-source"})
    require_source("dataset", {"type": "sql-source"})
    require_source("mail", {"type": "file-source"})
    for format in ("mail", "mail-directory"):
        with pytest.raises(UsageError, match=r"Mail.* cannot be made of a collection from sql-source.* dataset"):
            require_source(format, {"type": "sql-source"})
    with pytest.raises(UsageError, match="slack-export-source, which has none of its items"):
        require_source("mail-directory", {"type": "slack-export-source"})


def test_folders_of_tables_are_apart_on_every_system() -> None:
    """Names that differ only in case, or are too long, get a mark; odd characters are escaped as Hive escapes them."""
    places = TablePlaces(Dataset())
    names = [("a",), ("A",), ("public", "a"), ("public.a",), ("x" * 300,), ("x" * 299 + "y",)]
    folders = [places.folder(name) for name in names]
    assert folders[:3] == ["a", folders[1], "public.a"]
    assert folders[1].startswith("A~")
    assert len({folder.casefold() for folder in folders}) == len(names)
    assert all(len(folder.encode()) <= 255 for folder in folders)
    assert [places.folder(name) for name in names] == folders
    assert escaped("a/b\nc. ") == "a%2Fb%0Ac.%20"


def test_every_type_is_written_as_csv(tmp_path: Path) -> None:
    """Decimals keep their digits, times are ISO 8601 and say whether they are UTC, bytes are hexadecimal digits."""
    at = datetime(2024, 1, 2, 3, 4, 5, 60, tzinfo=UTC)
    table = pa.table(
        {
            "d": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "big": pa.array([Decimal(10**45), None], pa.decimal256(60, 0)),
            "utc": pa.array([at, None], pa.timestamp("us", "UTC")),
            "local": pa.array([at.replace(tzinfo=None), None], pa.timestamp("us")),
            "day": pa.array([at.date(), None]),
            "time": pa.array([time(1, 2, 3), None], pa.time64("us")),
            "yes": pa.array([True, None]),
            "bytes": pa.array([b"\x00\xff", b""]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = b"".join(csv_chunks(partial(open, tmp_path / "t.parquet", "rb"))).decode().splitlines()
    numbers, times = (
        f"1.50,{10**45}",
        "2024-01-02 03:04:05.000060Z,2024-01-02 03:04:05.000060,2024-01-02,01:02:03.000000",
    )
    assert rows[1:] == [f'{numbers},{times},true,"\\x00ff"', ',,,,,,,"\\x"']


def test_counting_csv_needs_no_parser() -> None:
    """Line breaks in values are no rows, whatever the chunks are."""
    data = b'"a","b"\n1,"x\ny"\n2,"say ""hi""\n"\n'
    assert {count_csv([data[at : at + size] for at in range(0, len(data), size)]) for size in (1, 3, 100)} == {2}
