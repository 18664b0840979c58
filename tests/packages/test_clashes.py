"""Paths that cannot exist together are found over a whole manifest, and always renamed in the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.packages import find_clashes

Manifest = Callable[[list[str]], Iterator[pa.RecordBatch]]


def manifest(paths: list[str], batch: int = 3) -> Manifest:
    """Return a manifest of these paths, with descending ids."""
    ids = [f"{len(paths) - row:03d}" for row in range(len(paths))]
    table = pa.table({"path": pa.array(paths, pa.string()), "item_id": pa.array(ids, pa.string())})
    return lambda columns: iter(table.select(columns).to_batches(batch))


def mark(item_id: str) -> str:
    """Return the end of an altered name."""
    return "~" + hashlib.sha256(item_id.encode()).hexdigest()[:16]


def test_nothing_clashes() -> None:
    """Distinct files in their own folders keep their paths."""
    assert find_clashes(manifest(["a", "b/a", "b/c", "b.txt", "bb/a"])) == {}
    assert find_clashes(manifest([])) == {}


def test_of_duplicates_the_first_id_keeps_its_path() -> None:
    """The order of the manifest does not matter."""
    assert find_clashes(manifest(["a.txt", "b", "c", "a.txt"])) == {0: f"a{mark('004')}.txt"}


def test_a_file_gives_way_to_a_folder() -> None:
    """This also holds if the folder is only a parent of another, and if the file comes later or twice."""
    found = find_clashes(manifest(["x/y/z/file", "x/y", "q", "x", "x"]))
    assert found == {1: f"x/y{mark('004')}", 3: f"x{mark('002')}", 4: f"x{mark('001')}"}


def test_a_new_name_that_is_taken() -> None:
    """A folder named like the renamed file causes another mark."""
    taken = f"a{mark('004')}"
    assert find_clashes(manifest(["a", "a/b", f"{taken}/c", "z"])) == {0: f"{taken}{mark('004')}"}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=25))
def test_after_renaming_nothing_clashes(paths: list[str]) -> None:
    """All paths are distinct, and none is the folder of another; paths without a clash are kept."""
    renamed = find_clashes(manifest(paths))
    after = [renamed.get(row, path) for row, path in enumerate(paths)]
    assert len(set(after)) == len(after)
    folders = {path[:at] for path in after for at, char in enumerate(path) if char == "/"}
    assert not folders & set(after)
    for row, path in renamed.items():
        assert paths.count(paths[row]) > 1 or any(other.startswith(paths[row] + "/") for other in paths)
        assert path != paths[row]
