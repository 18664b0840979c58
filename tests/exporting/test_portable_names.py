"""Names that not every system accepts: an export warns of them and lists them, or replaces them."""

from __future__ import annotations

import csv
import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.escaping import csv_text
from prefect_collect.exporting.portability import COLUMNS, NAMES
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, copied, export, new_job

THINGS = ["good.txt", "aux/x", "A", "a", "=ends so.", "ab:c\nd"]


def collected() -> JobFolder:
    """Return a copy of a collection of items with such names."""
    return copied(_collected())


@cache
def _collected() -> JobFolder:
    source = MemorySource({name: Thing("good", name.encode()) for name in THINGS})
    folder = new_job(MemoryStore(), source)
    attempt(folder, source)
    return folder


def listed(job: Any, number: int = 1) -> dict[str, dict[str, str]]:
    """Return the rows of the list of names, by original path."""
    data = job.store.read(store_keys.report_key(job.job_id, number, NAMES)).decode("utf-8-sig")
    rows = [*csv.DictReader(io.StringIO(data, newline=""))]
    assert all(tuple(row) == COLUMNS for row in rows)
    return {csv_text(row["original_path"]): {name: csv_text(row[name]) for name in COLUMNS} for row in rows}


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_an_export_warns_of_names(tmp_path: Path, format: str) -> None:
    """The warning counts and names them, the report lists each with its reason; the package has them unchanged."""
    collection = collected()
    job, result = export(collection, DirectoryStore(tmp_path / "out"), format)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    [warning] = result.warnings
    assert warning.startswith("4 items of the package cannot be unpacked under their own names on Windows or macOS: ")
    assert "Export with portable names" in warning
    assert store_keys.report_key(job.job_id, 1, NAMES) in warning
    rows = listed(job)
    assert rows.keys() == {"aux/x", "a", "=ends so.", "ab:c\nd"}
    assert {row["path"] for row in rows.values()} == {f"data/{name}" for name in rows}
    assert rows["aux/x"]["why"] == "a name of a device of Windows"
    assert rows["a"]["why"] == "a name that differs from another only in case or Unicode form"
    checked = verify_job(job)
    assert (checked.valid, checked.warnings) == (True, [])


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_an_export_with_portable_names(tmp_path: Path, format: str) -> None:
    """The list has the new name of each; another attempt, and another export, give the same bytes."""
    collection = collected()
    job, result = export(collection, DirectoryStore(tmp_path / "out"), format, portable_names=True)
    [warning] = result.warnings
    assert warning.startswith("4 items got another name in the package, one that every system accepts: ")
    rows = listed(job)
    assert all(row["path"] == row["portable_path"] != f"data/{name}" for name, row in rows.items())
    assert result.package is not None
    first = verify(result.package)
    assert (first.valid, first.items) == (True, len(THINGS))
    _, again = export(collection, DirectoryStore(tmp_path / "out"), format, job, portable_names=True)
    _, other = export(collection, DirectoryStore(tmp_path / "other"), format, portable_names=True)
    assert {again.fingerprint, other.fingerprint} == {first.fingerprint}
    assert listed(job, 2) == rows
    if format == "bagit":
        assert other.package is not None
        assert Path(other.package).read_bytes() == Path(result.package).read_bytes()
    else:
        assert {path.name for path in Path(result.package, "data").iterdir()} >= {"good.txt", "A"}


@pytest.mark.parametrize("units", [242, 243])
def test_names_in_a_group_of_bags(tmp_path: Path, units: int) -> None:
    """The folder that counts is that of a bag, whose number makes it longer than the package's base."""
    source = MemorySource({"x" * units: Thing("good", b"x")})
    collection = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(collection, source)
    _, one = export(collection, DirectoryStore(tmp_path / "one"), "bagit", portable_names=True)
    assert not one.warnings
    _, result = export(collection, DirectoryStore(tmp_path / "out"), "bagit-group", portable_names=True)
    assert result.package is not None
    lines = Path(result.package, "manifest-sha256.txt").read_text().splitlines()
    paths = [line.partition("  ")[2] for line in lines]
    assert all(path.startswith("test-001/data/") and len(path) <= 256 for path in paths)
    assert bool(result.warnings) is (len(f"test-001/data/{'x' * units}") > 256)
    assert verify(result.package).valid


def test_names_that_every_system_takes(tmp_path: Path) -> None:
    """There is neither a warning nor a list, with or without portable names."""
    source = MemorySource({name: Thing("good", b"x") for name in ("a.txt", "B/c.txt")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    for place, portable in (("one", False), ("two", True)):
        job, result = export(folder, DirectoryStore(tmp_path / place), portable_names=portable)
        assert result.warnings == ()
        assert not [blob for blob in job.store.list(f"{job.job_id}/reports/") if blob.key.endswith(NAMES)]
