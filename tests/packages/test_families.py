"""Families in load files: one after the other, in one volume, with ranges that `verify` proves."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.formats.load_file import LoadFile
from prefect_collect.packages import Continued, family_order, number_key, verify
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import both, build, contents, resealed, rows

RANGES = {
    "relativity": ("Begin Attachment", "End Attachment"),
    "everlaw": ("Begin Family", "End Family"),
    "concordance": ("BEGATTACH", "ENDATTACH"),
    "disco": ("Begattach", "Endattach"),
}


def purview(family: str, item: str = "", parent: str = "") -> str:
    """Return what a Purview list says of an item, as metadata."""
    return json.dumps({"export.Family_ID": family, "export.File_ID": item, "export.Parent_ID": parent})


@pytest.fixture
def mail(staging: Any) -> Any:
    """Return a staging store with two messages, whose attachments come after other items, and one item alone."""
    staging.stage({f"{n}.bin": b"%d" % n for n in range(7)})
    said = ["m1", "m2", "", "m1", "m2", "m3", "m1"]
    for row, family in zip(staging.rows, said, strict=True):
        row["metadata"] = purview(family) if family else None
    order = family_order(staging.manifest)
    assert order is not None
    staging.rows = [staging.rows[row] for row in order.tolist()]
    return staging


@both
@pytest.mark.parametrize("profile", RANGES)
def test_presets_have_the_range_of_each_family(mail: Any, exports: DirectoryStore, format: str, profile: str) -> None:
    """Items of a family have numbers one after the other, and each preset's names for the first and the last."""
    built = build(mail, exports, format, profile=profile, prefix="A")
    assert built.warnings == ()
    found = rows(contents(exports, format)["VOL001/VOL001.dat"])
    assert [*found[0]] == [name for name, _ in LoadFile(profile=profile).columns.columns]
    paths = [next(row[name] for name in row if "rig" in name.lower()) for row in found]
    assert paths == ["0.bin", "3.bin", "6.bin", "1.bin", "4.bin", "2.bin", "5.bin"]
    ranges = [tuple(row[name].removeprefix("A0000000") for name in RANGES[profile]) for row in found]
    assert ranges == [("1", "3")] * 3 + [("4", "5")] * 2 + [("", ""), ("7", "7")]
    result = verify(Path(exports.locate(built.key)))
    assert (result.problems, result.warnings) == ([], [])


@both
def test_an_undelivered_member_keeps_its_number_in_the_range(
    mail: Any, exports: DirectoryStore, format: str, damage: Any
) -> None:
    """The range of its family stays, because a retry delivers the item under that number."""
    lost = mail.rows[2]
    damage(lost["segment"], lost["offset"], b"x")
    built = build(mail, exports, format)
    found = rows(contents(exports, format)["VOL001/VOL001.dat"])
    assert [row["Control Number"][-1] for row in found] == ["1", "2", "4", "5", "6", "7"]
    assert (found[0]["Begin Attachment"][-1], found[0]["End Attachment"][-1]) == ("1", "3")
    assert verify(Path(exports.locate(built.key))).problems == []


def test_without_families_nothing_is_there_of_them(filled: Any, exports: DirectoryStore) -> None:
    """A load file in which no item states a family has no columns for ranges, and neither has the list of items.

    A column of a profile of one's own is there, and empty.
    """
    build(filled, exports, "loadfile-directory")
    files = contents(exports, "loadfile-directory")
    assert not {*RANGES["relativity"]} & {*rows(files["VOL001/VOL001.dat"])[0]}
    assert "family" not in pq.read_schema(io.BytesIO(files["items.parquet"])).names
    other = DirectoryStore(Path(exports.locate("other")))
    build(filled, other, "loadfile-directory", profile="A = control_number\nN = native_path\nB = family_begin")
    assert {row["B"] for row in rows(contents(other, "loadfile-directory")["VOL001/VOL001.dat"])} == {""}
    assert verify(Path(other.locate("out"))).problems == []


def _forged(mail: Any, exports: DirectoryStore, change: Any, **how: Any) -> list[str]:
    """Return what is wrong with a package whose list and load file were changed in the same way."""
    build(mail, exports, "loadfile-directory", **how)
    files = contents(exports, "loadfile-directory")
    table = pq.read_table(io.BytesIO(files["items.parquet"])).to_pylist()
    lines = files["VOL001/VOL001.dat"].decode("utf-8-sig").split("\r\n")
    header, *values = [line[1:-1].split("þ\x14þ") for line in lines[:-1]]
    cells = [dict(zip(header, one, strict=True)) for one in values]
    for row, cell in zip(table, cells, strict=True):
        change(row)
        cell["Group Identifier"] = row["family"] or ""
        cell["Begin Attachment"], cell["End Attachment"] = row["family_begin"] or "", row["family_end"] or ""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table, pq.read_schema(io.BytesIO(files["items.parquet"]))), sink)
    files["items.parquet"] = sink.getvalue()
    text = "".join(
        "þ" + "þ\x14þ".join(cell.values()) + "þ\r\n" for cell in [dict(zip(header, header, strict=True)), *cells]
    )
    files["VOL001/VOL001.dat"] = text.encode("utf-8-sig")
    resealed(files, exports)
    return [problem.what for problem in verify(Path(exports.locate("forged"))).problems]


def _moved(row: dict[str, Any]) -> None:
    row["family"] = "m2" if row["original_path"] == "6.bin" else row["family"]


def _widened(row: dict[str, Any]) -> None:
    row["family_end"] = "DOC00000006" if row["family"] == "m2" else row["family_end"]


def _halved(row: dict[str, Any]) -> None:
    row["family_begin"] = None if row["original_path"] == "3.bin" else row["family_begin"]


def _dropped(row: dict[str, Any]) -> None:
    row["family_begin"] = row["family_end"] = None if row["family"] == "m1" else row["family_begin"]


def _claimed(row: dict[str, Any]) -> None:
    row["family_begin"] = row["family_end"] = "DOC00000006" if row["family"] is None else row["family_end"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_moved, "it states several ranges of the family of DOC00000003"),
        (_widened, "the range of the family of DOC00000004 is not from its first to its last item"),
        (_halved, "it states several ranges of the family of DOC00000001"),
        (_dropped, "it states no range of the family of DOC00000001, whose items are numbered one after the other"),
        (_claimed, "it states a family or a range of DOC00000006 wrongly"),
    ],
)  # fmt: skip
def test_verify_proves_the_ranges(mail: Any, exports: DirectoryStore, change: Any, what: str) -> None:
    """A range that misses an item of its family, holds another one, or is left out is a problem."""
    assert what in _forged(mail, exports, change)


def test_verify_finds_a_range_of_a_scattered_family(mail: Any, exports: DirectoryStore) -> None:
    """A family whose numbers are apart has no range: one that is claimed for it is a problem."""
    first = mail.rows[2]
    known = {number_key(first["item_id"], first["sha256"]): 1}

    def claim(row: dict[str, Any]) -> None:
        if row["family"] == "m1":
            row["family_begin"], row["family_end"] = "DOC00000001", "DOC00000003"

    how = {"continued": Continued(known, 5), "continue_from": "0b1f2a54-6a3c-4f5e-9d53-1f2f3c4d5e6f"}
    assert [what for what in _forged(mail, exports, claim, **how) if "DOC00000001" in what] == [
        "the range of the family of DOC00000001 holds other items too, or none with one of its numbers"
    ]


def test_a_load_file_that_contradicts_the_list_is_found(mail: Any, exports: DirectoryStore) -> None:
    """A range or family in the load file that the list of items does not state is a problem."""
    build(mail, exports, "loadfile-directory")
    files = contents(exports, "loadfile-directory")
    files["VOL001/VOL001.dat"] = files["VOL001/VOL001.dat"].replace("þm2þ".encode(), "þm1þ".encode(), 1)
    resealed(files, exports)
    [problem] = verify(Path(exports.locate("forged"))).problems
    assert problem.what == "row 4 of the DAT has another 'Group Identifier' than items.parquet states"


def test_a_package_of_an_earlier_version_stays_valid(mail: Any, exports: DirectoryStore) -> None:
    """Its list of items does not state the families that its load file has, so these are not compared."""
    profile = "A = control_number\nN = native_path\nF = family"
    build(mail, exports, "loadfile-directory", profile=profile)
    files = contents(exports, "loadfile-directory")
    table = pq.read_table(io.BytesIO(files["items.parquet"])).drop_columns(["family", "family_begin", "family_end"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    resealed(files | {"items.parquet": sink.getvalue()}, exports)
    assert [row["F"] for row in rows(files["VOL001/VOL001.dat"])][:2] == ["m1", "m1"]
    assert verify(Path(exports.locate("forged"))).problems == []


@both
def test_families_are_not_divided_among_volumes(mail: Any, exports: DirectoryStore, format: str) -> None:
    """A volume ends before a family that does not fit, and a family that is larger than a volume is alone in one."""
    build(mail, exports, format, volume_items=2)
    files = contents(exports, format)
    volumes = sorted(name for name in files if name.endswith(".dat"))
    found = [[row["Original Path"][0] for row in rows(files[name])] for name in volumes]
    assert found == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    key = "out.zip" if format == "loadfile" else "out"
    assert verify(Path(exports.locate(key))).problems == []
