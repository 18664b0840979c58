"""Exports of Microsoft Purview: their files, held to the rows of their reports."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from prefect_collect.blocks import PurviewExportSource
from prefect_collect.sources.listing import items_of, proven
from tests.support.memory_store import MemoryStore
from tests.support.purview_export import DOCUMENT, MESSAGES, SENT, row, table, write_purview_export
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful


def test_a_whole_export(tmp_path: Path) -> None:
    """All files are collected with what their row says; files of one name in several folders are told apart, hashes are
    compared, what was not exported is reported, and what lies in a PST file is not looked for.
    """
    write_purview_export(tmp_path)
    source = PurviewExportSource(inside=str(tmp_path))
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    rows = {row["path"]: row for row in held(job).values()}
    files = {f"Items.1.001.zip/{path}": data for path, data in {**MESSAGES, **SENT, **DOCUMENT}.items()}
    reports = {f"Reports.zip/{name}.csv" for name in ("Items_0", "Summary", "Settings")}
    assert rows.keys() == {*files, *reports, "PSTs.001.zip/Exchange/bob@x.example.pst"}
    assert {path: rows[path]["sha256"] for path in files} == {
        path: hashlib.sha256(data).digest() for path, data in files.items()
    }
    described = [json.loads(rows[path]["metadata"]) for path in files]
    assert [(one["export.Subject"], one["export.id"]) for one in described] == [
        (f"subject {number}", f"id-{number}") for number in range(5)
    ]
    assert rows["PSTs.001.zip/Exchange/bob@x.example.pst"]["metadata"] is None
    reported = {row["path"]: (row["error_code"], row["message"]) for row in unsuccessful(job).values()}
    assert {path: code for path, (code, _) in reported.items()} == {
        "Reports.zip/Items_0.csv/id-30": "not_exported",
        **{f"{name}.zip": "looked_into" for name in ("Items.1.001", "PSTs.001", "Reports")},
    }
    assert "The item is encrypted" in reported["Reports.zip/Items_0.csv/id-30"][1]
    assert "name 6 items and 5 checksums; 0 of them are missing" in str([*proven(source)][-1])


def test_what_is_missing(tmp_path: Path) -> None:
    """Files that the reports name and the export does not hold are failed items, also a PST file."""
    write_purview_export(tmp_path, absent=True)
    failed = [item for item in items_of(PurviewExportSource(inside=str(tmp_path))) if item.failure is not None]
    assert {item.path for item in failed if item.failure and item.failure.code == "missing_in_export"} == {
        "Exchange/ann@x.example/Drafts/1.eml/", "Exchange/eve@x.example.pst/",
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["Results.csv", "Export_load_file.csv", "case 7 items.csv"])
def test_reports_of_other_names(tmp_path: Path, name: str, encoding: str) -> None:
    """Reports beside an unpacked export are found by their names, in whatever encoding; paths may begin above it."""
    (tmp_path / "x/Mail").mkdir(parents=True)
    (tmp_path / "x/Mail/a.eml").write_bytes(b"changed")
    (tmp_path / "items.csv").write_bytes(b"my,own\r\n1,2\r\n")
    rows = [
        {"Target Path": "C:\\export\\x\\Mail\\a.eml", "Native MD5": hashlib.md5(b"a").hexdigest(), "Size": "1"},
        {"Target Path": "x\\Mail\\b.eml", "Native MD5": "", "Size": ""},
    ]
    (tmp_path / name).write_bytes(table(rows, encoding))
    (tmp_path / "Export Warnings and Errors.csv").write_bytes(table([{"Item": "c.eml", "Error": "gone"}], encoding))
    source = PurviewExportSource(inside=str(tmp_path))
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    assert {row["path"]: row["error_code"] for row in unsuccessful(job).values()} == {
        "x/Mail/a.eml": "checksum_mismatch", "x/Mail/b.eml/": "missing_in_export",
        "Export Warnings and Errors.csv/row 1": "not_exported",
    }  # fmt: skip
    assert "items.csv" in {row["path"] for row in held(job).values()}


def test_a_large_pst_file_in_the_reports(tmp_path: Path) -> None:
    """Thousands of rows about one PST file are one promise."""
    with zipfile.ZipFile(tmp_path / "PSTs.zip", "w") as archive:
        archive.writestr("ann.pst", b"!BDN")
    rows = [row(number, f"ann.pst/Inbox/{number}", None) for number in range(3_000)]
    (tmp_path / "Items.csv").write_bytes(table(rows))
    items = [*items_of(PurviewExportSource(inside=str(tmp_path)))]
    assert [item.path for item in items] == ["Items.csv", "PSTs.zip/ann.pst", "PSTs.zip"]


def test_a_table_that_breaks(tmp_path: Path) -> None:
    """What the rows before a break say is held to, also what was not exported; the list itself is a failed item."""
    rows = [row(1, "a.eml", None), {**row(2, "", None), "Error message": "The item is encrypted"}]
    (tmp_path / "Items.csv").write_bytes(table(rows) + b'"' + b"x" * 200_000)
    found = {
        item.path: item.failure.code for item in items_of(PurviewExportSource(inside=str(tmp_path))) if item.failure
    }
    assert found == {
        "a.eml/": "missing_in_export", "Items.csv/id-2": "not_exported", "Items.csv": "unreadable_list",
    }  # fmt: skip
