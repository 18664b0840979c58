"""What load files say of custodians, paths and duplicates is compared with the package's exact list of items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.archive.item_paths import safe_path
from prefect_collect.escaping import csv_text
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.packages import PACKAGE_FORMATS, PackagePlace, find_duplicates, verify
from prefect_collect.packages.load_files.exceptions import Exceptions
from prefect_collect.packages.load_files.message_hash import edrm_mih
from prefect_collect.packages.load_files.reading import as_read, read_csv, read_dat
from prefect_collect.packages.load_files.text import MARKS, RowWriter
from prefect_collect.parameters import Deduplicate
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import contents, resealed

HELD = [("a\n®.txt", "Ann"), ("b.txt", "Ann"), ("c/=þ", "Bo"), ("日.txt", None), ("e.txt", "Bo")]
"""Paths and custodians of items, of which all but the last have the same bytes."""


def built(staging: Any, exports: DirectoryStore, scope: Deduplicate | None, **how: Any) -> dict[str, bytes]:
    """Return the files of a package of these items."""
    safe = [safe_path(path, f"id-{number:05d}") for number, (path, _) in enumerate(HELD)]
    staging.stage([(path, b"other" if path == "e.txt" else b"same") for path in safe])
    for row, (path, custodian) in zip(staging.rows, HELD, strict=True):
        row |= {"original_path": path, "custodian": custodian}
    spec = staging.spec(load_file=LoadFile(tables="both", **how), deduplicate=scope)
    checked = staging.check()
    checked.withhold(find_duplicates(staging.manifest, np.zeros(len(HELD), np.bool_), scope))
    PACKAGE_FORMATS["loadfile-directory"].build(staging.input(checked, spec), PackagePlace(exports, "out"))
    assert verify(exports.locate("out")).problems == []
    return contents(exports, "loadfile-directory")


def problems(files: dict[str, bytes], exports: DirectoryStore) -> str:
    """Return what verify says of a package of these files, whose manifests list them as they are."""
    exports.delete("forged/")
    resealed(files, exports)
    return "\n".join(map(str, verify(exports.locate("forged")).problems))


def forged(files: dict[str, bytes], kind: str, column: str, row: int, value: str) -> dict[str, bytes]:
    """Return the files with another value in one cell of a load file."""
    name = f"VOL001/VOL001.{kind}"
    read, write = (read_dat, RowWriter("utf-8").dat) if kind == "dat" else (read_csv, RowWriter("utf-8").csv)
    header, *rows = read([files[name]], "utf-8")
    rows[row][header.index(column)] = value
    return {**files, name: MARKS["utf-8"] + b"".join(write(cells, header) for cells in (header, *rows))}


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_other_encodings_are_valid(staging: Any, exports: DirectoryStore, encoding: Any) -> None:
    """A package in another encoding, with values that were replaced, is what its list of items implies."""
    built(staging, exports, "global", encoding=encoding, unencodable="replace")


@pytest.mark.parametrize("scope", ["global", "custodian", None])
def test_forged_cells_are_problems(staging: Any, exports: DirectoryStore, scope: Any) -> None:
    """Each column of a delivered item that the list of items implies is compared, in both kinds of load files."""
    good = built(staging, exports, scope)
    said = dict(zip(*list(read_csv([good["VOL001/VOL001.csv"]], "utf-8"))[:2], strict=True))
    names = {"global": "Ann; Bo", "custodian": "Ann", None: "Ann"}
    assert said["All Custodians"] == names[scope]
    assert said["All Paths/Locations"].count("; ") == {"global": 3, "custodian": 1, None: 0}[scope]
    for column in ("Duplicate Of", "All Custodians", "All Paths/Locations", "Original Path", "Custodian"):
        for kind in ("dat", "csv"):
            found = problems(forged(good, kind, column, 0, "forged"), exports)
            assert f"row 1 of the {kind.upper()} has another '{column}' than items.parquet states" in found
    assert problems(good, exports) == ""


def test_a_forged_number_of_the_original_is_a_problem(staging: Any, exports: DirectoryStore) -> None:
    """A delivered duplicate must state the control number of the item that the list of items names."""
    good = built(staging, exports, None)
    assert problems(forged(good, "csv", "Duplicate Of", 1, "DOC00000003"), exports).endswith("items.parquet states")
    assert "another 'Duplicate Of'" in problems(forged(good, "dat", "Duplicate Of", 1, ""), exports)


def test_forged_exceptions_are_problems(staging: Any, exports: DirectoryStore) -> None:
    """Each cell of an exception that the list of items states is compared, also of an item that was not collected."""
    staging.lose("gone")
    staging.lost[0]["custodian"] = "Kim"
    good = built(staging, exports, "global")
    header, *rows = read_csv([good["EXCEPTIONS.csv"]], "utf-8")
    for row, column in (
        (0, "Custodian"), (3, "Custodian"), (0, "File Name"), (3, "Original Path"), (1, "File Size"), (2, "Reason"),
    ):  # fmt: skip
        cells = [[*map(csv_text, one)] for one in rows]
        cells[row][header.index(column)] += "0"
        table = MARKS["utf-8"] + b"".join(RowWriter("utf-8").csv(one, header) for one in (header, *cells))
        found = problems({**good, "EXCEPTIONS.csv": table}, exports)
        assert found == f"EXCEPTIONS.csv: row {row + 1} has another {column!r} than items.parquet states"


def test_lists_of_earlier_versions_are_valid(staging: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """Without the columns of custodians and duplicates in the list of items, only what it states is compared."""
    good = built(staging, exports, None)
    table = pq.read_table(pa.BufferReader(good["items.parquet"])).drop_columns(["custodian", "duplicate_of"])
    pq.write_table(table, tmp_path / "items.parquet")
    old = {**good, "items.parquet": (tmp_path / "items.parquet").read_bytes()}
    assert problems(old, exports) == ""
    assert "another 'All Paths/Locations'" in problems(forged(old, "dat", "All Paths/Locations", 0, "x"), exports)
    assert json.loads(old["load-file.json"])["delivered"] == len(HELD)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_values_are_expected_as_they_are_written(encoding: Any) -> None:
    """For every kind of character, the expected value is what is read of what was written, in each form."""
    for value in ("plain", "a\r\n\nb\n", "®þ\x14", "\x85\u2028\x0b", "tab\t", "=1", "日本€", "\x00\x9f", "'x", ""):
        for kind in ("dat", "csv"):
            write = getattr(RowWriter(encoding), kind)
            read = read_dat if kind == "dat" else read_csv
            ((cell,),) = read([MARKS[encoding], write([value], ["x"])], encoding)
            assert (cell.removeprefix("'") if kind == "csv" else cell) == as_read(value, kind, encoding)


@pytest.mark.parametrize(
    ("message_id", "digest"),
    [
        ("<CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com>", "1de319c276884bd0c9e2f1621ada26cc"),
        (" <CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com> <2@x>", "1de319c276884bd0c9e2f1621ada26cc"),
        ("CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com", ""),
        ("<no at>", ""),
        ("<a@b", ""),
        ("<ä@b>", ""),
        ("<@b>", ""),
        ("<a@b@c>", "a8de8f910779313074c4490065986d34"),
        ("<" + "@" * 1_000_000, ""),
        ("<" + "a@" * 500_000, ""),
        ("", ""),
    ],
)
def test_the_hash_of_a_message_id(message_id: str, digest: str) -> None:
    """The example that Relativity and Reveal publish for EDRM's specification; what is no Message-ID has no hash."""
    assert edrm_mih(message_id) == digest


@pytest.mark.parametrize(("encoding", "kind"), [("utf-8", "dat"), ("cp1252", "dat"), ("cp1252", "csv")])
def test_a_hash_beside_a_text_that_was_replaced(
    staging: Any, exports: DirectoryStore, encoding: Any, kind: Any
) -> None:
    """A text that is no Message-ID, but looks like one in the load file, has no hash, and the package is valid."""
    texts = ["<a®b@c>", "<\u0430@b>", "<a\x01@b>", "<a@b>"]
    staging.stage({str(number): b"%d" % number for number in range(len(texts))})
    for row, text in zip(staging.rows, texts, strict=True):
        row["metadata"] = json.dumps({"message_id": text})
    options = LoadFile(profile="relativity", encoding=encoding, unencodable="replace", tables=kind)
    given = staging.input(staging.check(), staging.spec(load_file=options))
    PACKAGE_FORMATS["loadfile-directory"].build(given, PackagePlace(exports, "out"))
    assert verify(exports.locate("out")).problems == []


def test_hashes_of_messages(staging: Any, exports: DirectoryStore) -> None:
    """Each preset has a column with the hash, and one that is not of the Message-ID beside it is told."""
    staging.stage({"a": b"1", "b": b"2"})
    staging.rows[0]["metadata"] = json.dumps({"message_id": "<CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com>"})
    for profile, name in {"relativity": "EDRM MIH", "concordance": "EDRMMIH"}.items():
        exports.delete("out/")
        spec = staging.spec(load_file=LoadFile(profile=profile))
        build = PACKAGE_FORMATS["loadfile-directory"].build
        build(staging.input(staging.check(), spec), PackagePlace(exports, "out"))
        good = contents(exports, "loadfile-directory")
        header, first, second = read_dat([good["VOL001/VOL001.dat"]], "utf-8")
        at = header.index(name)
        assert (first[at], second[at]) == ("1de319c276884bd0c9e2f1621ada26cc", "")
        assert problems(good, exports) == ""
        found = problems(forged(good, "dat", name, 1, first[at]), exports)
        assert f"row 2 of the DAT has a '{name}' that is not of its Message-ID" in found


def test_a_missing_item_has_its_file_name(tmp_path: Path) -> None:
    """In EXCEPTIONS.csv an item whose path ends in "/", as what an export lacks has it, is named by the part before."""
    exceptions = Exceptions(tmp_path / "EXCEPTIONS.csv", numbered=False)
    path = "native/gone.xlsx/"
    values = {"item_id": "!missing/1", "original_path": path, "custodian": "Bob Ray", "size": None}
    exceptions.add("", "failed", "missing_in_export", "gone", None, values)
    exceptions.close()
    assert f'"Bob Ray","gone.xlsx","{path}"' in (tmp_path / "EXCEPTIONS.csv").read_text("utf-8-sig")
