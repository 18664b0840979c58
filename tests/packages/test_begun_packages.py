"""A package whose items are copied while they are checked is the one that is copied afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import pytest

from prefect_collect.packages import PackagePlace, build_zip, check_items, copy_ahead
from prefect_collect.packages.building import rows as rows_module
from prefect_collect.packages.building.rows import Row
from prefect_collect.stores import BegunFile, DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.packages.conftest import JOB


@pytest.mark.parametrize(
    ("wrong", "ahead"),
    [("nothing", [0, 1, 2]), ("bytes", [0, 1, 2]), ("header", [0, 1, 2]), ("segment", [0, 1, 2]), ("path", [])],
)
@pytest.mark.parametrize("few", [10, 1000])
def test_the_package_is_the_same(
    wrong: str, ahead: list[int], few: int, staging: Any, exports: DirectoryStore,
    damage: Callable[[str, int, bytes], None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What fails or needs another header is not in it, though it was copied; where a name clashes nothing is.

    So it is whether the builder is given the rows that were checked or, as there are many, reads them again.
    """
    monkeypatch.setattr(rows_module, "_FEW", few)
    segments = [staging.stage({f"{number}/{n}.txt": b"%d " % n * 999 for n in range(20)}) for number in range(3)]
    row = staging.rows[27]
    if wrong == "bytes":
        damage(segments[1], row["offset"], b"x")
    elif wrong == "header":
        damage(segments[1], row["entry_offset"], b"x")
    elif wrong == "segment":
        staging.store.remove([f"{JOB}/{segments[1]}"])
    elif wrong == "path":
        row["path"] = staging.rows[0]["path"]
    begun, copied = BegunFile(exports, "begun.zip", staging.store, Stop()), list[int]()

    def begins(rows: list[Row]) -> None:
        copied.append(segments.index(rows[0].segment))
        copy_ahead(begun, JOB, rows)

    checked = check_items(staging.manifest, staging.store, staging.spec(), begins=begins)
    assert copied == ahead
    checked.begun = begun
    begun.wait()
    build_zip(staging.input(checked), PackagePlace(exports, "begun.zip"))
    staging.zip(exports, "after.zip")
    assert exports.read("begun.zip") == exports.read("after.zip")


def test_ranges_with_gaps_are_copied_apart(staging: Any, exports: DirectoryStore) -> None:
    """Bytes of a segment that belong to no item of the manifest do not come into the package."""
    staging.stage({f"{n}.txt": b"%d " % n * 99 for n in range(9)})
    for number in (8, 4, 3, 0):
        del staging.rows[number]
    begun = BegunFile(exports, "begun.zip", staging.store, Stop())
    begins = partial(copy_ahead, begun, JOB)
    checked = check_items(staging.manifest, staging.store, staging.spec(), begins=begins)
    checked.begun = begun
    build_zip(staging.input(checked), PackagePlace(exports, "begun.zip"))
    staging.zip(exports, "after.zip")
    assert exports.read("begun.zip") == exports.read("after.zip")


def test_prefect_looks_at_no_kept_row() -> None:
    """What a check hands from one task run to the next is nothing that Prefect would look into, row by row."""
    kept = rows_module.KeptRows()
    assert not is_dataclass(kept)
    assert not isinstance(kept, list | tuple | set | dict)
