"""Which rows of a manifest have the bytes of others, and what `verify` makes of such marks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from prefect_collect.job_folder import table_columns
from prefect_collect.packages import PackagePlace, build_directory, find_duplicates, verify
from prefect_collect.packages.building import duplicate_columns
from prefect_collect.packages.building.duplicate_columns import joined
from prefect_collect.packages.contents.index import temporary_index
from prefect_collect.stores import DirectoryStore
from tests.packages.test_item_lists import rewrite

ITEM = st.tuples(
    st.sampled_from(["", "x", "y", "z"]), st.sampled_from([None, "ann", "bo"]), st.booleans(), st.booleans()
)


def manifest(items: list[tuple[str, str | None, bool, bool]]) -> Callable[[list[str]], Iterator[pa.RecordBatch]]:
    """Return a manifest of items with such bytes and custodians, in batches of three."""
    rows = [
        {
            "item_id": str(row), "original_path": f"p{row}", "size": len(data), "custodian": whose,
            "sha256": hashlib.sha256(data.encode()).digest(),
        }
        for row, (data, whose, _, _) in enumerate(items)
    ]  # fmt: skip
    fields = [
        table_columns.MANIFEST.field(name) for name in ("item_id", "original_path", "size", "custodian", "sha256")
    ]
    table = pa.Table.from_pylist(rows, pa.schema(fields))
    return lambda columns: iter(table.select(columns).to_batches(3))


@given(st.lists(ITEM, max_size=12), st.sampled_from([None, "global", "custodian"]))
def test_of_each_group_one_is_delivered(items: list[tuple[str, str | None, bool, bool]], scope: Any) -> None:
    """For any items, damaged ones and ones that were delivered before: exactly one of each group, if one can be."""
    bad = np.array([one[2] for one in items], np.bool_)
    before = np.array([one[3] for one in items], np.bool_)
    found = find_duplicates(manifest(items), bad, scope, before)
    marks = found.marks(0, len(items))
    for row, (data, whose, is_bad, _) in enumerate(items):
        same = [at for at, one in enumerate(items) if one[0] == data and data]
        mark = None if marks[row] is None else int(str(marks[row]))
        assert mark is None or (mark in same and mark != row)
        if scope is None:
            assert mark == (same[0] if same and same[0] != row else None)
            assert not found.withheld[row]
            continue
        group = [at for at in same if scope == "global" or items[at][1] == whose]
        good = [at for at in group if not bad[at]]
        kept = [at for at in good if before[at]] or good
        assert found.withheld[row] == (not is_bad and bool(data) and row != kept[0])
        if found.withheld[row]:
            assert mark == kept[0]
            assert row in [int(one.item_id) for one in found.copies(0, len(items))[mark]]
    counts = found.counts(scope)
    assert (counts.items, counts.withheld) == (len(items) - marks.count(None), found.withheld.sum())


def test_hashes_that_begin_alike_are_told_apart() -> None:
    """Two hashes of which the first 24 bytes agree are different ones."""
    digests = [b"a" * 32, b"a" * 24 + b"b" * 8, b"a" * 32]
    columns: dict[str, Any] = {
        "item_id": ["0", "1", "2"], "original_path": ["0", "1", "2"], "custodian": [None] * 3, "size": [1, 1, 1],
        "sha256": pa.array(digests, pa.binary(32)),
    }  # fmt: skip
    table = pa.table(columns)
    found = find_duplicates(lambda names: iter(table.select(names).to_batches()), np.zeros(3, np.bool_))
    assert found.marks(0, 3) == [None, None, "0"]


def test_a_long_list_is_cut() -> None:
    """A cell has no more than a spreadsheet takes, and says how many are left out; each value stands once."""
    assert joined(["b", None, "a", "b"]) == "b; a"
    assert joined([None]) is None
    text = joined(str(number) * 8 for number in range(10, 5_000))
    assert text is not None
    assert len(text) < duplicate_columns.LONGEST + 30
    shown, more = text.rsplit("; ", 1)
    assert more == f"… and {4_990 - len(shown.split('; ')):,} more"


def test_hashes_that_are_not_among_others() -> None:
    """They are found share by share, at most so many."""
    with temporary_index() as index:
        one, other = index.hashes("one"), index.hashes("other")
        one.add([1, -2, 3, 3])
        other.add([3, -2])
        assert one.beyond(other, 10) == {1}
        assert other.beyond(one, 10) == set()
        assert len(one.beyond(index.hashes("none"), 2)) == 2


@pytest.fixture
def folder(staging: Any, exports: DirectoryStore) -> Path:
    """Return a package as a folder that delivers two of its three items with the same bytes, and one other."""
    staging.stage({"a": b"same", "b": b"same", "c": b"same", "d": b"other"})
    checked = staging.check()
    bad = np.zeros(4, np.bool_)
    checked.withhold(find_duplicates(staging.manifest, bad, "global"))
    build_directory(staging.input(checked), PackagePlace(exports, "out"))
    return Path(exports.locate("out"))


def change(row: int, **values: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Return what sets these values of a row."""
    return lambda rows: rows[row].update(values)


@pytest.mark.parametrize(
    ("row", "values", "expected"),
    [
        (1, {"duplicate_of": "id-00003"}, "duplicate of 'id-00003', but lists no such item that has its bytes and"),
        (
            1,
            {"duplicate_of": "none"},
            "duplicate of 'none', but lists no such item that has its bytes and is",
        ),
        (1, {"duplicate_of": "id-00002"}, "duplicate of 'id-00002', but lists no such item that has its bytes and"),
        (1, {"duplicate_of": None}, "does not say which item has the bytes of 'id-00001'"),
        (3, {"duplicate_of": "id-00000"}, "marks 'id-00003' as a duplicate of 'id-00000', but lists no such item"),
        (1, {"duplicate_of": "id-00000"}, ""),
        (1, {"duplicate_of": "0b1f2a54-6a3c-4f5e-9d53-1f2f3c4d5e6f/x"}, ""),
        (2, {"duplicate_of": "id-00001", "error_code": "segment_corrupt"}, ""),
    ],
)
def test_marks_are_verified(folder: Path, row: int, values: dict[str, Any], expected: str) -> None:
    """A mark names an item with the same bytes, and if its own is not delivered, one that is."""
    assert verify(folder).problems == []
    rewrite(folder, change(row, **values))
    found = "\n".join(str(problem) for problem in verify(folder).problems if "items.csv" not in problem.path)
    assert (expected in found) if expected else found == ""


def test_packages_of_earlier_versions_are_valid(folder: Path) -> None:
    """A list without the column of duplicates is read as one without marks."""
    rewrite(folder, lambda rows: [row.update(error_code=None) for row in rows])
    table = pq.read_table(folder / "items.parquet").drop_columns(["duplicate_of"])
    pq.write_table(table, folder / "items.parquet")
    csv.write_csv(table, folder / "items.csv")
    rewrite(folder, lambda rows: None)
    assert verify(folder).problems == []


@pytest.mark.parametrize("custodians", [True, False])
def test_what_is_said_of_copies_is_verified(staging: Any, exports: DirectoryStore, custodians: bool) -> None:
    """Custodians and paths of an item and its duplicates are those of their rows, if the list says whose they are."""
    staging.stage({"a": b"same", "b": b"other", "c": b"same", "d": b"same"})
    for row, name in zip(staging.rows, ["Ann", None, "Bo", "Ann"], strict=True):
        row["custodian"] = name
    checked, spec = staging.check(), staging.spec(deduplicate="global", custodians=custodians)
    checked.withhold(find_duplicates(staging.manifest, np.zeros(4, np.bool_), "global"))
    build_directory(staging.input(checked, spec), PackagePlace(exports, "out"))
    folder = Path(exports.locate("out"))
    good = pq.read_table(folder / "items.parquet").to_pylist()
    assert (good[0]["all_custodians"], good[0]["all_paths"]) == ("Ann; Bo", "a; c; d")
    assert verify(folder).problems == []
    for row, column, value, told in (
        (0, "all_paths", "a; c; d; e", "all_paths of 'id-00000'"),
        (0, "all_paths", None, "all_paths of 'id-00000'"),
        (1, "all_paths", "a", "all_paths of 'id-00001'"),
        (2, "all_paths", "c", "all_paths of 'id-00002'"),
        (2, "original_path", "e", "all_paths of 'id-00000'"),
        (0, "all_custodians", "Ann", "all_custodians of 'id-00000'"),
        (1, "all_custodians", "Bo", "all_custodians of 'id-00001'"),
    ):
        rewrite(folder, change(row, **{column: value}))
        found = "\n".join(problem.what for problem in verify(folder).problems if problem.path == "items.parquet")
        is_told = custodians or "paths" in told
        assert (told in found and "\n" not in found) if is_told else found == ""
        rewrite(folder, change(row, **{column: good[row][column]}))
