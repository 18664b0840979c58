"""Collections of real files with names of every kind, from the listing to the package and the reports."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import UsageError
from prefect_collect.escaping import csv_text
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import fetch_package, verify
from prefect_collect.sources import Item
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.support.capabilities import permissions_hold
from tests.support.run_attempts import attempt, check_account, export, held, new_job

NAMES = {
    b"plain.txt": b"plain",
    b"a": b"a file beside a folder of nearly that name",
    b"a.d/b": b"b",
    b"new\nline": b"lf",
    b"carriage\rreturn": b"cr",
    b"100%.txt": b"percent",
    b"%0A": b"looks encoded",
    b"\"quoted\" 'twice'.csv": b"q",
    b"=1+1": b"formula",
    b"+1": b"formula",
    b"-1": b"formula",
    b"@sum": b"formula",
    b"\ttab": b"formula",
    b"'=1": b"marked already",
    b"x" * 255: b"long",
    ("ä" * 127).encode(): b"long in UTF-8",
    b"not-utf8-\xff\xfe": b"latin",
    b"bytes:%41": b"looks like an id",
    b"back\\slash": b"bs",
    b"C:drive": b"drive",
    b"...": b"dots",
    b" lead and trail ": b"blank",
    b"zero": b"",
    b"deep/" * 30 + b"er": b"deep",
    "\u202etxt.exe".encode(): b"bidi",
    b"a~0123456789abcdef.txt": b"looks altered",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree with every kind of name."""
    root = tmp_path / "root"
    for name, data in NAMES.items():
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return root


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_odd_names_all_the_way(root: Path, tmp_path: Path, format: str) -> None:
    """Every name is collected, exported, verified and fetched, with its bytes; all stay inside, and all are unique."""
    source = FileSource(name="odd", root=root)
    store = DirectoryStore(tmp_path / "store")
    folder = new_job(store, source)
    result = attempt(folder, source, workers=2)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, len(NAMES))
    rows = held(folder)
    assert sorted(row["size"] for row in rows.values()) == sorted(map(len, NAMES.values()))
    paths = [row["path"] for row in rows.values()]
    assert len(set(paths)) == len(NAMES)
    _, exported = export(folder, DirectoryStore(tmp_path / "out"), format)
    assert exported.status is JobStatus.SUCCESSFULLY_COMPLETED
    key = "test.zip" if format == "bagit" else "test"
    assert verify(tmp_path / "out" / key).valid
    home = fetch_package(DirectoryStore(tmp_path / "out"), key, tmp_path / "home")
    assert verify(home).valid
    if format == "bagit":
        with zipfile.ZipFile(home) as package:
            contents = [package.read(name) for name in package.namelist() if "/data/" in name]
    else:
        contents = [path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()]
    assert sorted(contents) == sorted(NAMES.values())


def test_odd_names_in_reports(root: Path, tmp_path: Path) -> None:
    """The reports hold every name exactly, the CSV with formulas neutralised; a retry by either redoes its rows."""
    source = FileSource(name="odd", root=root)
    store = DirectoryStore(tmp_path / "store")
    for path in root.rglob("*"):
        if path.is_file():
            path.chmod(0)
    folder = new_job(store, source)
    with permissions_hold():
        result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.failed) == (JobStatus.FAILED, len(NAMES))
    text = store.read(store_keys.report_key(folder.job_id, 1, "errors.csv")).decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    exact = result.unsuccessful.to_arrow().to_pylist()
    for name in ("errors.csv", "errors.parquet"):
        items = reported_items(store.locate(store_keys.report_key(folder.job_id, 1, name)))
        assert [(item.id, item.path) for item in items] == [(row["item_id"], row["path"]) for row in exact]
    for path in root.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    # A user keeps some rows of the CSV, in a spreadsheet that drops the byte order mark and quotes everything.
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    kept = rows[::2]
    part = tmp_path / "part.csv"
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "item_id", "outcome"], extrasaction="ignore", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(kept)
    result = attempt(folder, source, only=reported_items(str(part)))
    check_account(folder)
    assert held(folder).keys() == {csv_text(row["item_id"]) for row in kept}
    rest = store.locate(store_keys.report_key(folder.job_id, 2, "errors.parquet"))
    result = attempt(folder, source, only=reported_items(rest))
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, len(NAMES))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"path;item_id\nx;y\n",
        b"a,b,c\n1\n",
        b"item_id,path,outcome\n1\n",
        b"item_id,path,outcome\n1,2,failed,4,5\n",
        b"PAR1nonsensePAR1",
        b'"' + b"x" * 200_000,
    ],
)
@pytest.mark.parametrize("name", ["report.csv", "report.parquet"])
def test_reports_that_are_none(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that is given as a report names items, or is refused with one clear error."""
    (tmp_path / name).write_bytes(content)
    try:
        items = reported_items(str(tmp_path / name))
    except UsageError as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert all(isinstance(item, Item) and item.id for item in items)


def test_report_in_the_root_folder() -> None:
    """A location without a folder means the root, not the working directory."""
    with pytest.raises(UsageError, match=r"\[/no-such-report\.csv\]"):
        reported_items("/no-such-report.csv")


def test_the_same_collection_twice_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    """Two exports of one collection are equal byte by byte, even if a retry ran between them."""
    (root / "late").write_text("x")
    (root / "late").chmod(0)
    source = FileSource(name="odd", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with permissions_hold():
        attempt(folder, source)
    one, first = export(folder, DirectoryStore(tmp_path / "1"))
    _, second = export(folder, DirectoryStore(tmp_path / "2"))
    assert (tmp_path / "1/test.zip").read_bytes() == (tmp_path / "2/test.zip").read_bytes()
    assert first.fingerprint == second.fingerprint
    (root / "late").chmod(0o600)
    attempt(folder, source)
    before = (tmp_path / "1/test.zip").read_bytes()
    (tmp_path / "1/test.zip").unlink()
    _, again = export(folder, DirectoryStore(tmp_path / "1"), job=one)
    assert again.collection == {"job_id": folder.job_id, "attempt": 1}
    assert (tmp_path / "1/test.zip").read_bytes() == before
    _, later = export(folder, DirectoryStore(tmp_path / "3"))
    assert later.counts.succeeded == first.counts.succeeded + 1
    assert later.fingerprint != first.fingerprint


def test_result_as_tables(root: Path, tmp_path: Path) -> None:
    """A result offers its items as Arrow tables and as pandas frames, and its success rate in percent."""
    (root / "late").write_text("x")
    (root / "late").chmod(0)
    source = FileSource(name="odd", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with permissions_hold():
        result = attempt(folder, source)
    assert result.successful.to_arrow().num_rows == len(result.successful.to_pandas()) == len(NAMES)
    failed = result.failed.to_pandas()
    assert failed[["item_id", "error_code", "retryable"]].to_dict("records") == [
        {"item_id": "late", "error_code": "access_denied", "retryable": False}
    ]
    assert result.success_rate == pytest.approx(100 * len(NAMES) / (len(NAMES) + 1))
    read = JobFolder(folder.store, folder.job_id).result()
    assert read == result
