"""The order, numbers and volumes of the items of families, as planned from a manifest."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.codes import Failure
from prefect_collect.errors import JobCanceled, PackageError
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.job_folder import table_columns
from prefect_collect.packages import Continued, Plan, family_order, number_key, plan_of, reordered
from prefect_collect.packages.load_files.families import family_key
from prefect_collect.threads.stop import Stop
from tests.examples import examples

FAMILIES = st.sampled_from([None, "a", "b", "c", "d"])


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
