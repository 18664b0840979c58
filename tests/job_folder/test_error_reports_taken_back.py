"""Error reports given to a retry, after users and spreadsheets have changed them."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.errors import UsageError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.examples import examples
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

IDS = ("00123", "1234567890123456789", "=1+1", "'quoted", "Übergröße.txt", "2024-01-02", "a;b,c\td.txt", "line\nbreak")


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """Return a job without any item that succeeded."""
    source = MemorySource({name: Thing("denied") for name in IDS})
    folder = new_job(DirectoryStore(tmp_path_factory.mktemp("store")), source)
    attempt(folder, source)
    return folder


def report(folder: JobFolder, name: str = "errors.csv") -> bytes:
    """Return the report as it was written."""
    return folder.store.read(store_keys.report_key(folder.job_id, 1, name))


def saved(data: bytes, **options: Any) -> str:
    """Return the report's CSV as another program writes it."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    out = io.StringIO(newline="")
    csv.writer(out, **options).writerows(rows)
    return out.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "without a mark": lambda data: data.removeprefix(b"\xef\xbb\xbf"),
    "semicolons": lambda data: saved(data, delimiter=";").encode("utf-8-sig"),
    "semicolons, named": lambda data: ("sep=;\r\n" + saved(data, delimiter=";")).encode("utf-8-sig"),
    "Windows-1252": lambda data: saved(data, delimiter=";").encode("cp1252"),
    "UTF-16 with tabs": lambda data: saved(data, delimiter="\t").encode("utf-16"),
    "all quoted, LF": lambda data: saved(data, quoting=csv.QUOTE_ALL, lineterminator="\n").encode(),
    "marks against formulas taken away": lambda data: data.replace(b"'=1+1", b"=1+1").replace(b"''quoted", b"'quoted"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["report.csv", "report.txt", "report.parquet"])
def test_what_is_certain_is_taken(failed: JobFolder, tmp_path: Path, form: str, name: str) -> None:
    """With any separator, encoding, byte order mark, quoting and file name, the items are the job's."""
    (tmp_path / name).write_bytes(FORMS[form](report(failed)))
    items = reported_items(str(tmp_path / name), failed)
    assert sorted(item.id for item in items) == sorted(IDS)


def test_parquet_is_taken_by_any_name(failed: JobFolder, tmp_path: Path) -> None:
    """Parquet is recognised by its content; more or fewer columns change nothing."""
    path = tmp_path / "report.csv"
    path.write_bytes(report(failed, "errors.parquet"))
    assert sorted(item.id for item in reported_items(str(path), failed)) == sorted(IDS)
    table = pq.read_table(path).select(["item_id", "path"]).append_column("mine", pa.array([1] * len(IDS)))
    pq.write_table(table, path, use_dictionary=True)
    assert sorted(item.id for item in reported_items(str(path), failed)) == sorted(IDS)


def cut_zeros(data: bytes) -> bytes:
    """Return the report without leading zeros, as a spreadsheet saves it."""
    return data.replace(b",00123,", b",123,")


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "leading zeros": (cut_zeros, r"1 of 8 rows name no item .*'123'.*leading zeros"),
    "a long number": (
        lambda data: data.replace(b",1234567890123456789,", b",1.23457E+18,"), "'1.23457E.18'.*rewrite numbers",
    ),
    "a date": (lambda data: data.replace(b",2024-01-02,", b",02.01.2024,"), "'02.01.2024'"),
    "a forged path": (lambda data: data.replace(b",00123,", b",../../etc/passwd,"), "'../../etc/passwd'"),
    "lost letters": (lambda data: data.decode("utf-8-sig").encode("ascii", "replace"), r"'\?bergr\?\?e.txt'.*encoding"),
    "a workbook": (lambda _: workbook(), "a workbook"),
    "an old workbook": (lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old workbook"),
    "UTF-16 without a mark": (lambda data: data.decode("utf-8-sig").encode("utf-16-le"), "holds NUL"),
    "another table": (lambda _: b"name,size\nx,1\n", "no column item_id; it is 'name,size'"),
    "a cut row": (lambda data: data.rstrip().rpartition(b",")[0], r"line \d+ has 21 cells, but the first line has 22"),
    "nothing": (lambda _: b"", "no column item_id"),
    "cut Parquet": (lambda _: b"PAR1nonsensePAR1", "cannot be read as an error report"),
}  # fmt: skip


def workbook() -> bytes:
    """Return the beginning of an .xlsx file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
    return out.getvalue()


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_uncertain_is_refused(failed: JobFolder, tmp_path: Path, damage: str) -> None:
    """A rewritten report, or another file, is refused with what it is, where, and how to save a report."""
    change, said = DAMAGE[damage]
    path = tmp_path / "report.csv"
    path.write_bytes(change(report(failed)))
    with pytest.raises(UsageError, match=said) as caught:
        reported_items(str(path), failed)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_foreign_parquet(failed: JobFolder, tmp_path: Path) -> None:
    """Parquet without the id column is refused by its columns; one whose ids are numbers names no item of the job."""
    path = tmp_path / "report.parquet"
    pq.write_table(pa.table({"a": [1], "b": [2]}), path)
    with pytest.raises(UsageError, match="without a column item_id; it has a, b"):
        reported_items(str(path), failed)
    pq.write_table(pa.table({"item_id": [123, 4]}), path)
    with pytest.raises(UsageError, match="2 of 2 rows name no item"):
        reported_items(str(path), failed)


def test_a_report_that_claims_gigabytes(failed: JobFolder, tmp_path: Path) -> None:
    """Parquet of kilobytes that unpacks to gigabytes is refused before it is unpacked."""
    path = tmp_path / "report.parquet"
    column = pa.array(["x" * 1_000_000]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 60_000, pa.int32()), column.dictionary)
    pq.write_table(pa.table({"item_id": many}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(UsageError):
        reported_items(str(path), failed)


def test_a_report_of_another_job(failed: JobFolder, tmp_path: Path) -> None:
    """Rows that another job reported are refused, even beside rows of this job."""
    other = "11111111-1111-4111-8111-111111111111"
    path = tmp_path / "report.csv"
    path.write_bytes(report(failed).replace(failed.job_id.encode(), other.encode(), 2))
    with pytest.raises(UsageError, match=rf"belongs to another job: line 2 is of job {other}, and 1 more rows are"):
        reported_items(str(path), failed)


BITS = (
    b"item_id", b"job_id", b"outcome", b",", b";", b"\t", b'"', b"\n", b"\r\n", b"00123", b"'", b"\xff\xfe",
    b"\xef\xbb\xbf", b"PAR1", b"\0", b"sep=;\n",
)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(BITS)).map(b"".join)))
def test_any_bytes(failed: JobFolder, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """A file with any bytes names items of the job, or is refused as wrong use."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        items = reported_items(str(path), failed)
    except UsageError:
        return
    assert {item.id for item in items} <= set(IDS)
