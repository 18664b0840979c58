"""The folder of the demonstration: a copy in which one file cannot be read, until it is repaired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.cli._demo_tree import copy_tree, damage, prepare, standard_library
from prefect_collect.errors import UsageError
from prefect_collect.sources.listing import items_of
from tests.support.capabilities import permissions_hold


def _tree(folder: Path) -> Path:
    (folder / "site-packages").mkdir(parents=True)
    for name in ("a.py", "b.py", "c.py", "site-packages/d.py"):
        (folder / name).write_text(name)
    (folder / "nowhere").symlink_to("missing")
    return folder


def test_the_standard_library_is_a_real_tree() -> None:
    """The default tree has at least 1,000 files."""
    found = (path for path in standard_library().rglob("*") if path.is_file())
    assert sum(1 for _, _ in zip(range(1000), found, strict=False)) == 1000


@pytest.mark.parametrize("power", [nullcontext, permissions_hold])
def test_a_file_fails_until_it_is_repaired(tmp_path: Path, power: Callable[[], AbstractContextManager[None]]) -> None:
    """The damaged file cannot be read, not even by root, and is restored by the repair; the original is not changed."""
    with power():
        _fails_until_repaired(tmp_path)


def _fails_until_repaired(tmp_path: Path) -> None:
    tree, copy = _tree(tmp_path / "tree"), tmp_path / "copy"
    assert copy_tree(tree, copy) == 3
    broken = damage(copy)
    source = FileSource(name="demo", root=copy, follow_symlinks=True)
    read = dict(source.read_many([item for item in items_of(source) if item.failure is None], 1))
    listed = [item for item in items_of(source) if item.failure is not None]
    failed = [item.path for item in listed] + [item.path for item, got in read.items() if isinstance(got, Exception)]
    assert failed == [broken.path.name]
    broken.undo()
    assert [item.failure for item in items_of(source)] == [None, None, None]
    assert broken.path.read_text() == broken.path.name
    assert (tree / broken.path.name).read_text() == broken.path.name


def test_an_earlier_demonstration_is_kept(tmp_path: Path) -> None:
    """An earlier demonstration stays as it is, and the next has a folder of its own; any other folder that is not empty
    is refused.
    """
    assert prepare(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo" / "staging").mkdir()
    assert [prepare(tmp_path / "demo").name for _ in range(2)] == ["demo-2", "demo-3"]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [".prefect-collect-demo", "staging"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("mine")
    with pytest.raises(UsageError, match="not from a demonstration"):
        prepare(tmp_path / "other")


def test_a_tree_that_holds_the_demonstration_is_not_copied_into_itself(tmp_path: Path) -> None:
    """The copy leaves out the demonstration's own folder, if that lies in the copied one."""
    tree = _tree(tmp_path / "tree")
    assert copy_tree(tree, tree / "demo" / "source") == 3
