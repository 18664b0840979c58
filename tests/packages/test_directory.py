"""Packages as a folder: the same bag, with a file for each item."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.errors import PackageExists
from prefect_collect.packages import PackagePlace, build_directory, verify
from prefect_collect.stores import DirectoryStore

ITEMS = {"a.txt": b"alpha", "sub/new\nline %.txt": b"beta", "empty": b"", "big": b"0123456789" * 300_000}


def test_a_folder_holds_the_same_bag_as_a_zip_file(staging: Any, exports: DirectoryStore) -> None:
    """Files, manifests and the fingerprint are those of the ZIP file."""
    staging.stage(ITEMS)
    staging.stage({"text": b"again " * 99}, deflate=True)
    built, zipped = staging.directory(exports), staging.zip(exports)
    root = Path(exports.locate("out"))
    for path, data in (ITEMS | {"text": b"again " * 99}).items():
        assert (root / "data" / path).read_bytes() == data
    assert built.fingerprint == zipped.fingerprint == verify(root).fingerprint
    assert verify(root).valid
    assert built.failed == {}


def test_an_empty_payload(staging: Any, exports: DirectoryStore) -> None:
    """A package of nothing is a valid bag with its payload folder."""
    staging.lose("x")
    built = staging.directory(exports)
    assert built.items == 0
    assert Path(exports.locate("out/data")).is_dir()
    assert verify(exports.locate("out")).problems == []


def test_bytes_that_change_after_the_check_fail_their_item(
    staging: Any, exports: DirectoryStore, damage: Callable[[str, int, bytes], None]
) -> None:
    """Each item is hashed again while it is written; the package lists what failed."""
    segment = staging.stage(ITEMS)
    checked = staging.check()
    damage(segment, staging.rows[0]["offset"], b"X")
    damage(segment, staging.rows[3]["offset"] + 2_000_000, b"X")
    built = build_directory(staging.input(checked), PackagePlace(exports, "out"))
    assert {row: failure.code for row, failure in built.failed.items()} == {0: "segment_corrupt", 3: "segment_corrupt"}
    assert "[item=a.txt, segment=segments/0001/00000.zip]" in built.failed[0].message
    assert built.items == 2
    found = verify(exports.locate("out"))
    assert (found.problems, found.not_delivered) == ([], 2)
    rows = pq.read_table(io.BytesIO(exports.read("out/items.parquet"))).to_pylist()
    assert [row["outcome"] for row in rows] == ["failed", "delivered", "delivered", "failed"]


class CaseBlind(DirectoryStore):
    """A directory on a file system that ignores case: a name that differs only in case already exists."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.names: set[str] = set()

    def create(self, key: str, data: Any, into: Any = None) -> Any:
        """Create the lower-case name too."""
        if key.lower() in self.names:
            return super().create(
                next(str(blob.key) for blob in self.list("out/") if blob.key.lower() == key.lower()), data, into
            )
        self.names.add(key.lower())
        return super().create(key, data, into)


def test_names_that_differ_in_case_alone(staging: Any, tmp_path: Path) -> None:
    """On a file system that ignores case, one fails as path_collision and nothing is overwritten."""
    staging.stage({"Read.me": b"one", "read.ME": b"two", "other": b"three"})
    built = staging.directory(CaseBlind(tmp_path / "blind"), key="out")
    assert [failure.code for failure in built.failed.values()] == ["path_collision"]
    assert built.items == 2
    assert verify(tmp_path / "blind/out").valid


def test_names_that_the_destination_cannot_hold(staging: Any, exports: DirectoryStore) -> None:
    """A path longer than the system allows fails as an item, with that reason."""
    staging.stage({"a": b"1", "/".join(["d" * 200] * 30): b"2"})
    built = staging.directory(exports)
    assert {row: failure.code for row, failure in built.failed.items()} == {1: "name_too_long"}
    found = verify(exports.locate("out"))
    assert (found.problems, found.items) == ([], 1)


def test_a_package_is_not_mixed_with_what_is_there(staging: Any, exports: DirectoryStore) -> None:
    """A folder that is not empty is refused."""
    staging.stage({"a": b"1"})
    exports.create("out/data/left", b"over")
    with pytest.raises(PackageExists, match="already has the package's name"):
        staging.directory(exports)
    assert [blob.key for blob in exports.list("out/")] == ["out/data/left"]
