"""Load file packages: what receivers read in them, and that nothing of the collection is left out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.errors import PackageError, PackageExists
from prefect_collect.escaping import csv_text
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.profiles import FACTS
from prefect_collect.job_folder import table_columns
from prefect_collect.packages import (
    PACKAGE_FORMATS,
    Built,
    Continued,
    FolderZip,
    Owner,
    PackagePlace,
    check_items,
    fetch_package,
    number_key,
    verify,
)
from prefect_collect.stores import DirectoryStore
from tests.examples import QUICK
from tests.support.package_modules import ROOT

MAIL = {
    "from": ["Ann <ann@example.com>"],
    "to": ["bob@example.com", "eve@example.com"],
    "cc": ["c@example.com"],
    "subject": "Hi\nthere",
    "date": "2024-01-01T00:30:00+02:00",
    "message_id": "<1@example.com>",
}
FORMATS = ["loadfile", "loadfile-directory"]
both = pytest.mark.parametrize("format", FORMATS)


def build(staging: Any, exports: DirectoryStore, format: Any = "loadfile", **how: Any) -> Built:
    """Check and build a package; `how` are options of the load file, or of the builder."""
    asked = {name: how.pop(name) for name in ("owner", "replace") if name in how}
    changes = {name: how.pop(name) for name in ("continued", "hashes", "source") if name in how}
    spec = staging.spec(load_file=LoadFile(**how), **({"source": "Share"} | changes))
    checked = check_items(staging.manifest, staging.store, spec)
    known = PACKAGE_FORMATS[format]
    key = f"out{known.facts.suffix}"
    return known.build(staging.input(checked, spec), PackagePlace(exports, key, **asked))


def contents(exports: DirectoryStore, format: str) -> dict[str, bytes]:
    """Return the files of the package by their names below its base folder."""
    if format == "loadfile":
        path = exports.locate("out.zip")
        assert subprocess.run(["unzip", "-tqq", path], check=False).returncode == 0
        with zipfile.ZipFile(path) as archive:
            return {name.removeprefix("docs/"): archive.read(name) for name in archive.namelist()}
    root = Path(exports.locate("out"))
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows(data: bytes, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    """Return the rows of a DAT file, read by pandas."""
    table: Any = pandas.read_csv(
        io.BytesIO(data), sep="\x14", quotechar="þ", dtype=str, keep_default_na=False, engine="python",
        encoding=encoding,
    )  # fmt: skip
    found: list[dict[str, str]] = table.to_dict("records")
    return found


def exceptions(data: bytes) -> list[dict[str, str]]:
    """Return the rows of EXCEPTIONS.csv."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.fixture
def filled(staging: Any) -> Any:
    """Return a staging store with items of many kinds."""
    staging.stage({"a/letter.txt": "Grüße".encode(), "b/scan.PDF": b"%PDF-1.7", "mail/1.eml": b"Subject: Hi\r\n\r\n"})
    staging.stage({"big.bin": b"0" * 300_000, "latin.txt": b"Gr\xfc\xdfe", "noext": b"", ".hidden": b"h"}, deflate=True)
    staging.rows[2]["metadata"] = json.dumps(MAIL)
    staging.rows[0]["custodian"] = "Jordan Lee"
    staging.lose("gone.docx")
    staging.lose("=odd.txt", "access_denied")
    return staging


@both
def test_every_item_is_in_the_load_file_or_the_exceptions(filled: Any, exports: DirectoryStore, format: str) -> None:
    """Each row's native has the item's bytes and hash; what was not collected is an exception; verify counts both."""
    for row, data in zip(filled.rows, (b"md5-of-1",), strict=False):
        row["md5"] = hashlib.md5(data, usedforsecurity=False).digest()
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
    assert [*found[0]] == [name for name, _ in LoadFile(profile=profile).columns.columns]
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
    files = contents(exports, format)
    assert rows(files["VOL001/VOL001.dat"], "cp1252")[1]["Original Path"] == "??/b€.txt"
    assert json.loads(files["load-file.json"])["replaced"] == {"dat": {"unencodable": 2}}
    assert verify(exports.locate(built.key)).problems == []


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


def test_the_same_collection_gives_the_same_bytes(filled: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """ZIP file and folder hold the same files, each time the same bytes, whose hashes sha256sum accepts."""
    first, again = build(filled, exports), build(filled, DirectoryStore(tmp_path / "again"))
    folder = build(filled, exports, "loadfile-directory")
    assert first.fingerprint == again.fingerprint == folder.fingerprint
    data = Path(exports.locate("out.zip")).read_bytes()
    assert data == (tmp_path / "again" / "out.zip").read_bytes()
    assert contents(exports, "loadfile") == contents(exports, "loadfile-directory")
    for place in ("out", "out/VOL001"):
        where = exports.locate(place)
        done = subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=where, check=False)
        assert done.returncode == 0
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert verify(tmp_path / "unpacked" / "docs").fingerprint == first.fingerprint


def test_a_folder_can_be_downloaded_as_a_zip_file(filled: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """The ZIP file that the console makes of a folder is a valid package with its fingerprint; a copy is checked."""
    built = build(filled, exports, "loadfile-directory")
    (tmp_path / "made.zip").write_bytes(b"".join(FolderZip(exports, "out").chunks()))
    found = verify(tmp_path / "made.zip")
    assert (found.problems, found.fingerprint) == ([], built.fingerprint)
    home = fetch_package(exports, "out", tmp_path / "home", "out", built.fingerprint, "loadfile-directory")
    assert verify(home).valid
    with pytest.raises(PackageError, match="fingerprint differs"):
        fetch_package(exports, "out", tmp_path / "other", "out", "0" * 64, "loadfile-directory")


@both
def test_volumes_are_complete_in_themselves(filled: Any, exports: DirectoryStore, format: str) -> None:
    """A volume has at most that many items or bytes (or one item); each has its load file, natives and hashes."""
    built = build(filled, exports, format, volume_items=3)
    files = contents(exports, format)
    assert [len(rows(files[f"VOL{n:03d}/VOL{n:03d}.dat"])) for n in (1, 2, 3)] == [3, 3, 1]
    for volume in ("VOL001", "VOL002", "VOL003"):
        lines = files[f"{volume}/manifest-sha256.txt"].decode().splitlines()
        listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
        mine = {name.removeprefix(f"{volume}/"): data for name, data in files.items() if name.startswith(volume)}
        del mine["manifest-sha256.txt"]
        assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in mine.items()}
    assert verify(exports.locate(built.key)).problems == []


def test_volumes_by_size(filled: Any, exports: DirectoryStore) -> None:
    """An item that is larger than a volume has one of its own; the others are filled as far as they go."""
    build(filled, exports, volume_bytes=20)
    volumes = json.loads(contents(exports, "loadfile")["load-file.json"])["volumes"]
    assert [(volume["items"], volume["bytes"]) for volume in volumes] == [(2, 15), (1, 15), (1, 300_000), (3, 6)]
    assert verify(exports.locate("out.zip")).problems == []


@both
def test_an_item_that_cannot_be_delivered_keeps_its_number(
    filled: Any, exports: DirectoryStore, format: str, damage: Callable[[str, int, bytes], None]
) -> None:
    """It is in the exceptions under its number; after the segment is repaired, all others have theirs as before."""
    row = filled.rows[1]
    place = row["segment"], row["offset"]
    damage(*place, b"X")
    built = build(filled, exports, format)
    files = contents(exports, format)
    before = [one["Control Number"] for one in rows(files["VOL001/VOL001.dat"])]
    lost = exceptions(files["EXCEPTIONS.csv"])
    assert "DOC00000002" not in before
    assert [(one["Control Number"], one["Exception Code"]) for one in lost] == [
        ("DOC00000002", "segment_corrupt"), ("", "not_found"), ("", "access_denied"),
    ]  # fmt: skip
    checked = verify(exports.locate(built.key))
    assert (checked.problems, checked.items, checked.not_delivered) == ([], 6, 3)
    damage(*place, b"%")
    again = build(filled, exports, format, owner=Owner("export", frozenset({built.fingerprint})), replace=True)
    after = [one["Control Number"] for one in rows(contents(exports, format)["VOL001/VOL001.dat"])]
    assert sorted({*before, "DOC00000002"}) == after
    assert (again.items, verify(exports.locate(again.key)).problems) == (7, [])


@both
def test_only_an_own_package_is_replaced(filled: Any, exports: DirectoryStore, format: str) -> None:
    """An identical package is kept, one of another job is not touched, and nothing is written beside other files."""
    built = build(filled, exports, format)
    kept = build(filled, exports, format, owner=Owner("export"), replace=True)
    assert kept.fingerprint == built.fingerprint
    before = contents(exports, format)
    with pytest.raises(PackageExists):
        build(filled, exports, format, owner=Owner("export"), replace=True, prefix="OTHER")
    with pytest.raises(PackageExists):
        build(filled, exports, format)
    assert contents(exports, format) == before


def test_an_interrupted_folder_is_completed(filled: Any, exports: DirectoryStore) -> None:
    """What a killed attempt left, marked as this job's, is replaced; with a file of others in it, it is refused."""
    marker = "out/.prefect-collect-export/unfinished.txt"
    exports.create(marker, b"x")
    exports.create("out/VOL001/NATIVES/0001/DOC00000001.txt", b"half")
    exports.create("out/VOL001/VOL001.dat", b"half")
    built = build(filled, exports, "loadfile-directory", owner=Owner("export"), replace=True)
    assert verify(exports.locate("out")).problems == []
    assert built.items == 7
    exports.create(marker, b"x")
    exports.create("out/VOL001/mine.txt", b"mine")
    with pytest.raises(PackageExists, match=r"mine\.txt"):
        build(filled, exports, "loadfile-directory", owner=Owner("export"), replace=True)


@both
def test_a_damaged_row_is_an_exception(filled: Any, exports: DirectoryStore, format: str) -> None:
    """An item whose row of the manifest lacks its size or its hash is not delivered, and not lost either."""
    filled.rows[0]["size"] = filled.rows[4]["sha256"] = None
    built = build(filled, exports, format, volume_bytes=1 << 20)
    lost = exceptions(contents(exports, format)["EXCEPTIONS.csv"])
    assert [row["Control Number"] for row in lost] == ["DOC00000001", "DOC00000005", "", ""]
    found = verify(exports.locate(built.key))
    assert (found.problems, found.items, found.not_delivered) == ([], 5, 4)


def test_numbers_go_on_after_those_of_an_earlier_export(filled: Any, exports: DirectoryStore) -> None:
    """Items with the same bytes keep their numbers, others get new ones after the last; too few digits are refused."""
    known = {
        number_key(row["item_id"], row["sha256"]): number
        for row, number in zip(filled.rows[:3], (7, 3, 5), strict=True)
    }
    build(filled, exports, continued=Continued(known, 9_998), width=5)
    found = rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])
    numbers = ["DOC00007", "DOC00003", "DOC00005", "DOC09999", "DOC10000", "DOC10001", "DOC10002"]
    assert [row["Control Number"] for row in found] == numbers
    assert verify(exports.locate("out.zip")).problems == []
    with pytest.raises(PackageError, match=r"reach 10,002, which has more digits .*\[width=4\]"):
        build(filled, exports, continued=Continued(known, 9_998), width=4)


def test_nothing_at_all(staging: Any, exports: DirectoryStore) -> None:
    """A collection without items makes a load file with its header alone."""
    build(staging, exports, tables="both")
    assert rows(contents(exports, "loadfile")["VOL001/VOL001.dat"]) == []
    assert verify(exports.locate("out.zip")).problems == []


@pytest.mark.skipif(QUICK, reason="it takes long because of its size")
def test_more_than_65536_files(staging: Any, exports: DirectoryStore) -> None:
    """Folders hold at most 1,000 natives, and a ZIP64 file with more than 65,535 entries is valid."""
    count = 65_600
    staging.stage([(f"{n:05d}.bin", b"") for n in range(count)])
    table = pa.Table.from_pylist(staging.rows, table_columns.MANIFEST)
    staging.manifest = lambda columns: iter(table.select(columns).to_batches(8192))
    build(staging, exports)
    with zipfile.ZipFile(exports.locate("out.zip")) as archive:
        names = archive.namelist()
    natives = [name for name in names if "/NATIVES/" in name]
    assert len(natives) == count
    folders = [name.rpartition("/")[0] for name in natives]
    assert max(folders.count(folder) for folder in sorted(set(folders))[:2]) == 1_000
    assert natives[1_000] == "docs/VOL001/NATIVES/0002/DOC00001001.bin"
    found = verify(exports.locate("out.zip"))
    assert (found.problems, found.items) == ([], count)


def _edits(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes | None], str]]:
    """Yield ways to change a package, each with what verify must say."""
    dat = files["VOL001/VOL001.dat"]
    yield "a native is changed", {"VOL001/NATIVES/0001/DOC00000002.PDF": b"%PDF-1.8"}, "its bytes are not those"
    yield "a native is gone", {"VOL001/NATIVES/0001/DOC00000002.PDF": None}, "it is missing"
    yield "a text is gone", {"VOL001/TEXT/0001/DOC00000001.txt": None}, "it is missing"
    yield "a file is added", {"VOL001/NATIVES/0001/DOC00000099.txt": b"x"}, "no manifest of the package lists it"
    yield "the load file is changed", {"VOL001/VOL001.dat": dat.replace(b"scan", b"scam")}, "its bytes are not those"
    yield (
        "an exception is dropped",
        {"EXCEPTIONS.csv": files["EXCEPTIONS.csv"].splitlines(True)[0]},
        "is not the exception",
    )
    yield "the manifest is gone", {"manifest-sha256.txt": None}, "it is missing"
    yield "the description is damaged", {"load-file.json": b"{}"}, "cannot be read as the description"


def test_a_changed_package_is_not_valid(filled: Any, exports: DirectoryStore) -> None:
    """Whatever is changed, removed or added, verify names it."""
    build(filled, exports, "loadfile-directory")
    files = contents(exports, "loadfile-directory")
    for what, edit, said in _edits(files):
        for name, data in edit.items():
            path = Path(exports.locate(f"out/{name}"))
            path.unlink() if data is None else path.write_bytes(data)
        problems = "\n".join(map(str, verify(exports.locate("out")).problems))
        assert said in problems, f"{what}: {problems}"
        for name in edit:
            path = Path(exports.locate(f"out/{name}"))
            path.write_bytes(files[name]) if name in files else path.unlink()
    assert verify(exports.locate("out")).valid


def _resealed(files: dict[str, bytes], exports: DirectoryStore) -> None:
    """Write the files as a package whose manifests list them as they are, as a forger would."""
    volume = {name: data for name, data in files.items() if name.startswith("VOL001/")}
    volume.pop("VOL001/manifest-sha256.txt", None)
    top = {name: files[name] for name in ("load-file.json", "EXCEPTIONS.csv", "items.parquet")}

    def lines(listed: dict[str, bytes], cut: str = "") -> bytes:
        digests = {name.removeprefix(cut): hashlib.sha256(data).hexdigest() for name, data in listed.items()}
        return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()

    manifest = {"VOL001/manifest-sha256.txt": lines(volume, "VOL001/")}
    every = volume | top | manifest | {"manifest-sha256.txt": lines(top | manifest)}
    for name, data in every.items():
        exports.create(f"forged/{name}", data)


def test_a_forged_load_file_is_not_valid(filled: Any, exports: DirectoryStore) -> None:
    """With hashes that fit, rows that are changed, dropped, added or malformed are still found by the list of items."""
    build(filled, exports, "loadfile-directory", tables="both")
    good = contents(exports, "loadfile-directory")
    dat, table = good["VOL001/VOL001.dat"], good["VOL001/VOL001.csv"]
    lines, cells = dat.splitlines(True), table.split(b"\r\n")
    native = "VOL001/NATIVES/0001/DOC00000002.PDF"
    said = json.loads(good["load-file.json"])
    edits: list[tuple[dict[str, bytes | None], str]] = [
        ({"VOL001/VOL001.dat": b"".join(lines[:-1])}, "row 7 of the DAT is not the item DOC00000007"),
        ({"VOL001/VOL001.dat": dat + lines[-1]}, "the DAT has more than the 7 delivered items"),
        (
            {"VOL001/VOL001.dat": b"".join([lines[0], lines[2], lines[1], *lines[3:]])},
            "row 1 of the DAT is not the item",
        ),
        ({"VOL001/VOL001.dat": lines[0][:3] + b"".join(lines[1:])}, "its header is not the columns"),
        ({"VOL001/VOL001.dat": dat.replace(b"\x14", b"", 1)}, "its header is not the columns"),
        ({"VOL001/VOL001.csv": b"\r\n".join([*cells[:2], *cells[3:]])}, "row 2 of the CSV is not the item DOC00000002"),
        ({"VOL001/VOL001.csv": table + b'"'}, "it does not end with a whole row"),
        ({native: None}, "it is missing; items.parquet lists it"),
        ({native: b"%PDF-1.8"}, "items.parquet and the manifest do not agree on it"),
        ({"VOL001/NATIVES/0001/DOC99.txt": b"x"}, "items.parquet does not list it"),
        ({"EXCEPTIONS.csv": good["EXCEPTIONS.csv"].replace(b"not_found", b"not_wanted")}, "row 1 is not the exception"),
        ({"EXCEPTIONS.csv": good["EXCEPTIONS.csv"] * 2}, "it has more than the 2 exceptions"),
        ({"load-file.json": json.dumps({**said, "found": 10}).encode()}, "it states 10 found items, but there are 9"),
        ({"load-file.json": json.dumps({**said, "volumes": []}).encode()}, "its volumes are not VOL001"),
        ({"load-file.json": json.dumps({**said, "load_file": 2}).encode()}, "only version 1 is known"),
        ({"items.parquet": b"PAR1"}, "it cannot be read as the list of items"),
    ]
    for edit, what in edits:
        files = {name: data for name, data in (good | edit).items() if data is not None}
        _resealed(files, exports)
        problems = "\n".join(map(str, verify(exports.locate("forged")).problems))
        assert what in problems, f"{what}: {problems}"
        exports.delete("forged/")
    _resealed(good, exports)
    assert verify(exports.locate("forged")).valid


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
