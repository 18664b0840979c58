"""Exports of Microsoft Purview: their files, held to the rows of their reports."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_collect.blocks import PurviewExportSource
from prefect_collect.sources.listing import items_of, proven
from tests.support.mbox_bytes import mail
from tests.support.memory_store import MemoryStore
from tests.support.purview_export import DOCUMENT, MESSAGES, SENT, row, table, write_purview_export
from tests.support.run_attempts import attempt, check_account, export, held, new_job, unsuccessful


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


def test_what_the_list_says_of_what_is_not_there(tmp_path: Path) -> None:
    """The custodian, size and times that a list states travel with items that are missing, that were not exported, or
    whose bytes are wrong: into the error report, through a retry, and into EXCEPTIONS.csv. What is no number and no
    time with a zone is left out; the job's own patterns go before the list.
    """
    dated = {"Size": "12", "O365_date_created": "2024-01-02T03:04:05Z", "O365_date_modified": "2024-02-02T03:04:05Z"}
    unclear = {"Size": "12 KB", "O365_date_modified": "1/2/2024", "O365_date_created": "1601-01-01T00:00:00Z"}
    listed = [
        {**row(1, "a.eml", None), "Custodian": "Ann", **dated},
        {**row(2, "", None), "Error message": "The item is encrypted", "Custodian": "Bob", **dated},
        {**row(3, "c.eml", b"other"), "Custodian": "Cid", **dated},
        {**row(4, "d.eml", None), "Custodian": "Dan", **unclear},
        {**row(5, "mine/e.eml", None), "Custodian": "Eve", **unclear},
    ]
    (tmp_path / "Items.csv").write_bytes(table(listed))
    (tmp_path / "c.eml").write_bytes(mail(1))
    source = PurviewExportSource(inside=str(tmp_path))
    job = new_job(MemoryStore(), source, options={"custodians": [{"pattern": "mine/**", "custodian": "Me"}]})
    born, changed = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2024, 2, 2, 3, 4, 5, tzinfo=UTC)
    for _ in range(2):
        attempt(job, source)
        check_account(job)
        names = ("custodian", "size", "source_created", "source_modified")
        facts = {row["path"]: tuple(row[name] for name in names) for row in unsuccessful(job).values()}
        assert facts.pop("c.eml")[0] == "Cid"
        assert facts == {
            "a.eml/": ("Ann", 12, born, changed), "Items.csv/id-2": ("Bob", 12, born, changed),
            "d.eml/": ("Dan", None, None, None), "mine/e.eml/": ("Me", None, None, None),
        }  # fmt: skip
    store = MemoryStore()
    export(job, store, "loadfile-directory")
    (name,) = [blob.key for blob in store.list() if blob.key.endswith("/EXCEPTIONS.csv")]
    listed = [*csv.DictReader(io.StringIO(store.read(name).decode("utf-8-sig")))]
    assert {
        (one["Original Path"], one["Custodian"], one["File Size"], one["Date Last Modified UTC"]) for one in listed
    } >= {("a.eml/", "Ann", "12", "2024-02-02 03:04:05"), ("d.eml/", "Dan", "", "")}
