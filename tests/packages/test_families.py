"""Families in load files: numbered together, in one volume, with ranges that hold the family and nothing else."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.codes import Failure
from prefect_collect.errors import JobCanceled, PackageError
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder import table_columns
from prefect_collect.packages import Continued, Plan, family_order, number_key, plan_of, reordered, verify
from prefect_collect.packages.load_files.families import family_key
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.examples import examples
from tests.packages.load_file_packages import both, build, contents, resealed, rows

RANGES = {
    "relativity": ("Begin Attachment", "End Attachment"),
    "everlaw": ("Begin Family", "End Family"),
    "concordance": ("BEGATTACH", "ENDATTACH"),
    "disco": ("Begattach", "Endattach"),
}


FAMILIES = st.sampled_from([None, "a", "b", "c", "d"])


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


@given(st.lists(st.tuples(FAMILIES, st.integers(0, 9)), min_size=1, max_size=30), st.integers(1, 6), st.integers(1, 20))
def test_volumes_are_filled_family_by_family(found: list[tuple[Any, int]], most: int, largest: int) -> None:
    """A volume has no more than asked, but for one family that is larger, and the next family would not fit into it."""
    items = [_item(f"i{n}", family, None, size) for n, (family, size) in enumerate(found)]
    order = family_order(_manifest(items))
    items = items if order is None else [items[row] for row in order.tolist()]
    plan = plan_of(_manifest(items), LoadFile(volume_items=most, volume_bytes=largest))
    units = [
        [item["size"] for item in unit]
        for _, unit in groupby(items, lambda item: json.loads(item["metadata"]).get("family") or item["item_id"])
    ]
    starts, held = [0], list[int]()
    for unit in units:
        if held and (len(held) + len(unit) > most or sum(held) + sum(unit) > largest):
            starts.append(starts[-1] + len(held))
            held = []
        held += unit
    assert plan.starts == tuple(starts)


def _manifest(items: list[dict[str, Any]]) -> Any:
    """Return a manifest of items, in small batches."""
    schema = table_columns.MANIFEST
    table = pa.Table.from_pylist([dict.fromkeys(schema.names) | item for item in items], schema)

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(table.select(columns).to_batches(3))

    return batches


def _item(name: str, family: str | None, parent: str | None, data: int) -> dict[str, Any]:
    said = {"family": family, "file_id": name, "parent_id": parent} if family else {"labels": ["family"]}
    metadata = json.dumps({key: value for key, value in said.items() if value is not None})
    return {"item_id": name, "path": name, "size": data, "sha256": bytes([data]) * 32, "metadata": metadata}


PARENTS = st.sampled_from([None, *(f"i{n}" for n in range(12))])
ROUND = st.dictionaries(st.integers(0, 11), st.tuples(FAMILIES, PARENTS, st.integers(1, 2)), max_size=12)


def _check_round(
    items: list[dict[str, Any]], plan: Plan, given: dict[bytes, int], families: dict[str, set[int]]
) -> None:
    """Assert that numbers are unique and stable, and the ranges true, after earlier rounds gave numbers."""
    last = max(given.values(), default=0)
    numbers = [plan.number(row) for row in range(plan.items)]
    assert len({*numbers}) == len(numbers)
    here = defaultdict[str, list[int]](list)
    for row, item in enumerate(items):
        key = number_key(item["item_id"], item["sha256"])
        assert numbers[row] == given.get(key, numbers[row])
        assert key in given or numbers[row] > last
        if family := json.loads(item["metadata"]).get("family"):
            here[family].append(row)
    ranges = {row: plan.family(row) for row in range(plan.items)}
    for name, members in here.items():
        of = {numbers[row] for row in members}
        fresh = of - {*given.values()}
        assert not fresh or max(fresh) - min(fresh) + 1 == len(fresh), "new members are not numbered together"
        is_whole = max(of) - min(of) + 1 == len(of) and families[name] <= of
        expected = (f"N-{min(of):04d}", f"N-{max(of):04d}") if is_whole else ("", "")
        assert {ranges.pop(row) for row in members} == {expected}
        families[name] |= of
    assert {*ranges.values()} <= {("", "")}
    given |= {number_key(item["item_id"], item["sha256"]): number for item, number in zip(items, numbers, strict=True)}


@settings(max_examples=examples(100))
@given(st.lists(ROUND, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_numbers_are_stable_and_ranges_true(rounds: list[dict[int, tuple[Any, Any, int]]], random: Any) -> None:
    """Over exports that continue each other, with items that come, go and change, whatever families are stated.

    Numbers are unique and never change, the items of a family that are new are numbered together, with the parents
    first, and a family has a range only if that is all of it and nothing else.
    """
    given: dict[bytes, int] = {}
    families: dict[str, set[int]] = defaultdict(set)
    for found in rounds:
        items = [_item(f"i{n}", *said) for n, said in found.items()]
        random.shuffle(items)
        order = family_order(_manifest(items))
        if order is not None:
            items = [items[row] for row in order.tolist()]
            assert family_order(_manifest(items)) is None
        before = {family_key(name): (min(of), max(of)) for name, of in families.items()}
        continued = Continued(dict(given), max(given.values(), default=0), before)
        plan = plan_of(_manifest(items), LoadFile(prefix="N-", width=4), continued if given else None)
        _check_round(items, plan, given, families)


def test_the_parent_comes_first() -> None:
    """The item that is stated to be the parent is first in its family; else the family has the list's order.

    An item whose parent is not there, or that names itself, counts as one without a parent.
    """
    stated = [
        ("i0", "a", "i2"), ("i1", "b", None), ("i2", "a", None), ("i3", "b", "gone"), ("i4", "c", "i4"),
        ("i5", "a", "i0"),
    ]  # fmt: skip
    order = family_order(_manifest([_item(*said, 1) for said in stated]))
    assert order is not None
    assert order.tolist() == [2, 0, 5, 1, 3, 4]


def test_a_manifest_is_put_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same batches for whatever columns are asked for, several of them at a time, and no file stays."""
    monkeypatch.setattr("prefect_collect.packages.building.reordered._ROWS", 7)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    items = [_item(f"i{n}", "a", None, n % 200) for n in range(100)]
    order = np.random.default_rng(1).permutation(100)
    expected = [f"i{n}" for n in order.tolist()]
    with reordered(_manifest(items), table_columns.MANIFEST.names, order, Stop()) as manifest:
        pairs = zip(manifest(["item_id"]), manifest(["metadata", "item_id"]), strict=True)
        found = [
            row for one, other in pairs for row in zip(*(b["item_id"].to_pylist() for b in (one, other)), strict=True)
        ]
        assert found == [(name, name) for name in expected]
        whole = pa.Table.from_batches([*manifest(table_columns.MANIFEST.names)])
        assert whole.schema == table_columns.MANIFEST
    assert [*tmp_path.iterdir()] == []
    stop = Stop()
    stop.set(Failure("canceled", "Canceled."))
    with pytest.raises(JobCanceled), reordered(_manifest(items), table_columns.MANIFEST.names, order, stop):
        pass


def test_a_full_temporary_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that cannot be put in order in temporary files fails with what to do."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    manifest = _manifest([_item("i0", None, None, 1)])

    def full(columns: list[str]) -> Iterator[pa.RecordBatch]:
        (taken,) = tmp_path.iterdir()
        (taken / "manifest").mkdir()
        yield from manifest(columns)

    with (
        pytest.raises(PackageError, match=r"cannot be written to temporary files .*free space there, or set TMPDIR"),
        reordered(full, ["item_id"], np.zeros(1, np.int64), Stop()),
    ):
        pass
