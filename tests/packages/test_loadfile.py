"""Load file packages: what receivers read in them, and that nothing of the collection is left out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.errors import PackageError
from prefect_collect.escaping import csv_text
from prefect_collect.formats.facts import FACTS
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.packages import (
    verify,
)
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import both, build, contents, exceptions, rows
from tests.support.package_modules import ROOT


@both
def test_every_item_is_in_the_load_file_or_the_exceptions(filled: Any, exports: DirectoryStore, format: str) -> None:
    """Each row's native has the item's bytes and hash; what was not collected is an exception; verify counts both."""
    filled.rows[0]["md5"] = hashlib.md5("Grüße".encode(), usedforsecurity=False).digest()
    built = build(filled, exports, format, tables="both")
    files = contents(exports, format)
    found = rows(files["VOL001/VOL001.dat"])
    assert [row["Control Number"] for row in found] == [f"DOC{n:08d}" for n in range(1, 8)]
    for row, staged in zip(found, filled.rows, strict=True):
        native = files["VOL001/" + row["Native File Path"].removeprefix(".\\").replace("\\", "/")]
        assert hashlib.sha256(native).hexdigest() == row["SHA256 Hash"] == staged["sha256"].hex()
        assert (row["Original Path"], row["File Size"]) == (staged["original_path"], str(len(native)))
        assert (row["Source"], row["Date Last Modified UTC"]) == ("Share", "2024-05-06 07:08:10")
        assert row["Date Last Modified"] == "2024-05-06T07:08:10.123456+00:00"
    assert [row["File Extension"] for row in found] == ["txt", "PDF", "eml", "bin", "txt", "", ""]
    names = [row["Native File Path"].rpartition("\\")[2] for row in found]
    assert [name[11:] for name in names] == [".txt", ".PDF", ".eml", ".bin", ".txt", "", ""]
    assert [row["Custodian"] for row in found][:2] == ["Jordan Lee", ""]
    texts = {row["Control Number"]: row["Extracted Text"] for row in found if row["Extracted Text"]}
    assert texts == {"DOC00000001": ".\\TEXT\\0001\\DOC00000001.txt"}, "text in another encoding has no text file"
    assert files["VOL001/TEXT/0001/DOC00000001.txt"] == "Grüße".encode()
    cells = list(csv.DictReader(io.StringIO(files["VOL001/VOL001.csv"].decode("utf-8-sig"), newline="")))
    assert [{name: csv_text(cell) for name, cell in row.items()} for row in cells] == [
        {name: value.replace("®", "\n") for name, value in row.items()} for row in found
    ]
    lost = exceptions(files["EXCEPTIONS.csv"])
    assert [csv_text(row["Original Path"]) for row in lost] == ["gone.docx", "=odd.txt"]
    assert [row["Exception Code"] for row in lost] == ["not_found", "access_denied"]
    assert lost[1]["Original Path"] == "'=odd.txt", "no cell of a list for people is a formula"
    assert all(row["Suggested Action"] and row["Exception Category"] for row in lost)
    checked = verify(exports.locate(built.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 7, 2)
    assert checked.fingerprint == built.fingerprint == hashlib.sha256(files["manifest-sha256.txt"]).hexdigest()
    described = json.loads(files["load-file.json"])
    assert (described["found"], described["delivered"], described["exceptions"]) == (9, 7, 2)


def test_message_fields_come_from_the_source(filled: Any, exports: DirectoryStore) -> None:
    """Of mail there is what its source states: people with ; between, the date with its zone and in UTC, the id."""
    build(filled, exports)
    row = rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])[2]
    assert {name: row[name] for name in row if name.startswith(("Email", "Date Sent", "Message"))} == {
        "Email From": "Ann <ann@example.com>",
        "Email To": "bob@example.com; eve@example.com",
        "Email CC": "c@example.com",
        "Email BCC": "",
        "Email Subject": "Hi®there",
        "Date Sent": "2024-01-01T00:30:00+02:00",
        "Date Sent UTC": "2023-12-31 22:30:00",
        "Message ID": "<1@example.com>",
    }


def test_dates_that_cannot_be_understood_stay_as_they_are(staging: Any, exports: DirectoryStore) -> None:
    """A date that is none is stated as the message has it; one without a zone is UTC."""
    staging.stage({"1.eml": b"1", "2.eml": b"2", "3.eml": b"3", "4.eml": b"4"})
    stated = [
        {"date_text": "yesterday"},
        {"date": "2024-01-01T00:00:00"},
        {"date": "0001-01-01T00:00:00+14:00"},
        {"date": 7},
    ]
    for row, said in zip(staging.rows, stated, strict=True):
        row["metadata"] = json.dumps(said)
    build(staging, exports)
    found = rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])
    assert [(row["Date Sent"], row["Date Sent UTC"]) for row in found] == [
        ("yesterday", ""),
        ("2024-01-01T00:00:00", "2024-01-01 00:00:00"),
        ("0001-01-01T00:00:00+14:00", ""),
        ("", ""),
    ]


@both
@pytest.mark.parametrize("profile", ["relativity", "everlaw", "concordance", "disco"])
def test_the_presets_make_valid_packages(filled: Any, exports: DirectoryStore, format: str, profile: str) -> None:
    """Each preset has its columns in order, and the package is valid."""
    built = build(filled, exports, format, profile=profile, prefix="ABC-", width=6)
    found = rows(contents(exports, format)["VOL001/VOL001.dat"])
    assert [*found[0]] == [name for name, _ in LoadFile(profile=profile).columns.columns_for(has_families=False)]
    assert next(iter(found[0].values())) == "ABC-000001"
    assert verify(exports.locate(built.key)).problems == []


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_encodings(filled: Any, exports: DirectoryStore, encoding: Any) -> None:
    """UTF-16 begins with its byte order mark; CP1252 is read as such."""
    build(filled, exports, encoding=encoding, tables="both")
    files = contents(exports, "loadfile")
    assert files["VOL001/VOL001.dat"].startswith(b"\xff\xfe" if encoding == "utf-16" else b"\xfeControl")
    assert len(rows(files["VOL001/VOL001.dat"], encoding)) == 7
    assert verify(exports.locate("out.zip")).problems == []


@both
def test_what_cp1252_does_not_have_is_refused_or_replaced(staging: Any, exports: DirectoryStore, format: str) -> None:
    """Refused: the error counts the values and names the first, and there is no package. Replaced: they are counted."""
    staging.stage({"a.txt": b"1", "日本/b€.txt": b"2"})
    with pytest.raises(PackageError, match=r"2 values .* the first in the column 'Original Path' of DOC00000002"):
        build(staging, exports, format, encoding="cp1252")
    assert list(exports.list("")) == []
    built = build(staging, exports, format, encoding="cp1252", unencodable="replace")
    assert built.warnings == ("2 values of the DAT have ? for characters that cp1252 does not have.",)
    files = contents(exports, format)
    assert rows(files["VOL001/VOL001.dat"], "cp1252")[1]["Original Path"] == "??/b€.txt"
    assert json.loads(files["load-file.json"])["replaced"] == {"dat": {"unencodable": 2}}
    assert verify(exports.locate(built.key)).problems == []


LISTED = [
    {
        "export.Custodian": "Ann Lee", "export.Sender": "ann@x.example", "export.Email_to": "bob@x.example",
        "export.Subject": "Plans", "export.Family_ID": "f-1", "export.Sent": "2024-01-02T03:04:05Z",
    },
    {"export.#From": "eve@x.example", "subject": "its own", "export.Subject": "the list's", "labels": ["a", 1]},
    {"export.DateSent": "1/2/2024 3:04 PM"},
    None,
    None,
]  # fmt: skip


@both
def test_what_a_list_of_another_system_says_is_in_the_columns(
    staging: Any, exports: DirectoryStore, format: str
) -> None:
    """Columns of messages, custodian and family are of the source's list where it states no more, else of the header of
    a message; what is empty is told.
    """
    staging.stage({f"{n}.eml": b"Subject: x\r\nTo: y@x.example\r\n\r\n" for n in range(4)} | {"5.EML": b"none\r\n"})
    for row, said in zip(staging.rows, LISTED, strict=True):
        row["metadata"] = None if said is None else json.dumps(said)
    profile = """BEGDOC = control_number
        CUSTODIAN = custodian\nFROM = from\nTO = to\nSUBJECT = subject\nSENT = sent\nUTC = sent_utc\nFAMILY = family
        LABELS = metadata.labels\nSENDER = metadata.export.Sender\nNATIVE = native_path"""
    built = build(staging, exports, format, profile=profile)
    found = rows(contents(exports, format)["VOL001/VOL001.dat"])
    assert [[*row.values()][1:10] for row in found] == [
        ["Ann Lee", "ann@x.example", "bob@x.example", "Plans", "2024-01-02T03:04:05Z", "2024-01-02 03:04:05", "f-1",
         "", "ann@x.example"],
        ["", "eve@x.example", "y@x.example", "its own", "", "", "", "a; 1", ""],
        ["", "", "y@x.example", "x", "1/2/2024 3:04 PM", "", "", "", ""],
        ["", "", "y@x.example", "x", "", "", "", "", ""],
        [""] * 9,
    ]  # fmt: skip
    assert built.warnings == (
        "Items named .eml whose message columns (from, subject and the like) are empty, because neither the source nor "
        "a header states them: 1.",
    )
    assert verify(exports.locate(built.key)).problems == []


def test_cells_that_are_no_formulas_are_counted(staging: Any, exports: DirectoryStore) -> None:
    """What begins like a formula is counted among the changed values of the CSV."""
    staging.stage({"=cmd.csv": b"1"})
    build(staging, exports, tables="both")
    said = json.loads(contents(exports, "loadfile")["load-file.json"])
    assert said["replaced"] == {"dat": {}, "csv": {"formula": 3}}


@both
def test_hostile_paths(staging: Any, exports: DirectoryStore, format: str) -> None:
    """Whatever a path holds, names in the package are plain, rows parse, and the exact path is in items.parquet."""
    odd = ["þ\x14®/x\ny.txt", "\u202egnp.exe", "a/" * 900 + "z", "..", '"quoted", =1+1.csv', "\x85\u2028.md5", "."]
    staging.stage([(safe_path(path, f"id-{n:05d}"), b"%d" % n) for n, path in enumerate(odd)])
    for row, path in zip(staging.rows, odd, strict=True):
        row["original_path"] = path
    built = build(staging, exports, format, tables="both")
    files = contents(exports, format)
    assert all(re.fullmatch(r"(?:VOL001/(?:NATIVES|TEXT)/0001/DOC\d{8}(?:\.\w+)?|[\w./-]+)", name) for name in files)
    found = rows(files["VOL001/VOL001.dat"])
    assert found[0]["Original Path"] == "þ\ufffd(R)/x®y.txt"
    assert [row["Original Path"] for row in found[1:5]] == odd[1:5]
    exact = pq.read_table(io.BytesIO(files["items.parquet"]))["original_path"].to_pylist()
    assert exact == odd
    assert verify(exports.locate(built.key)).problems == []


@both
def test_a_damaged_row_is_an_exception(filled: Any, exports: DirectoryStore, format: str) -> None:
    """An item whose row of the manifest lacks its size or its hash is not delivered, and not lost either."""
    filled.rows[0]["size"] = filled.rows[4]["sha256"] = None
    built = build(filled, exports, format, volume_bytes=1 << 20)
    lost = exceptions(contents(exports, format)["EXCEPTIONS.csv"])
    assert [row["Control Number"] for row in lost] == ["DOC00000001", "DOC00000005", "", ""]
    found = verify(exports.locate(built.key))
    assert (found.problems, found.items, found.not_delivered) == ([], 5, 4)


def test_nothing_at_all(staging: Any, exports: DirectoryStore) -> None:
    """A collection without items makes a load file with its header alone."""
    build(staging, exports, tables="both")
    assert rows(contents(exports, "loadfile")["VOL001/VOL001.dat"]) == []
    assert verify(exports.locate("out.zip")).problems == []


def _page() -> str:
    return (ROOT / "docs" / "loadfile.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_reads_a_package(filled: Any, exports: DirectoryStore) -> None:
    """The example of docs/loadfile.md reads a row and its native out of a package."""
    build(filled, exports)
    [example] = re.findall(r"```python\n(.*?)```", _page(), re.DOTALL)
    found: dict[str, Any] = {"package": exports.locate("out.zip"), "base": "docs"}
    exec(example, found)
    assert (len(found["rows"]), found["native"]) == (7, "Grüße".encode())


def test_the_page_names_every_fact_and_its_profile_works(filled: Any, exports: DirectoryStore) -> None:
    """docs/loadfile.md names exactly the facts that a column can hold, and its profile makes a valid package."""
    [named] = re.findall(r"<!-- facts -->(.*)<!-- /facts -->", _page())
    assert re.findall(r"`(\w+)`", named) == [*FACTS]
    [profile] = re.findall(r"```ini\n(.*?)```", _page(), re.DOTALL)
    build(filled, exports, profile=profile)
    assert next(iter(rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])[0])) == "BEGDOC"
    assert verify(exports.locate("out.zip")).problems == []
