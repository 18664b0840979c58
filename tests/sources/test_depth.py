"""How far folders within folders are followed: of a real tree, and by the rule of all sources that have folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import FileSource
from prefect_collect.sources import depth
from prefect_collect.sources.depth import MOST_FOLDERS, Alike, Nested
from prefect_collect.sources.listing import items_of
from prefect_collect.stores import DirectoryStore
from tests.support.run_attempts import attempt, new_job, unsuccessful


def test_a_folder_that_lies_too_deep(tmp_path: Path) -> None:
    """The last folder that is followed is collected, the next one fails, and a retry does not go one folder further."""
    root = tmp_path / "root"
    deepest = root / "/".join(["d"] * (MOST_FOLDERS + 1))
    deepest.mkdir(parents=True)
    (deepest / "below").write_text("x")
    (deepest.parent / "last").write_text("x")
    items = [*items_of(FileSource(root=root))]
    assert [(item.path[-6:], None if item.failure is None else item.failure.code) for item in items] == [
        ("d/d/d/", "too_deep"), ("d/last", None),
    ]  # fmt: skip
    folder = new_job(DirectoryStore(tmp_path / "staging"), FileSource(root=root))
    for _ in range(2):
        assert attempt(folder, FileSource(root=root)).counts.found == 2
        assert [row["error_code"] for row in unsuccessful(folder).values()] == ["too_deep"]


def nested(*folders: str) -> Nested:
    """Return the last of folders within one another, each given by the names of the folders in it."""
    at: Nested | None = None
    for names in folders:
        at = Nested(above=at)
        for name in names.split():
            at.add(name)
    assert at is not None
    return at


@pytest.mark.parametrize(
    ("folders", "alike"),
    [
        (["a b", "b a", "a b", "a b", "b a"], True),
        (["a b"] * 4, False),
        (["a b", "a", "a b", "x", "a b", "a b", "y", "a b"], True),
        ([""] * 9, False),
        (["a", "b", "c", "d", "e", "f"], False),
    ],
)
def test_folders_whose_folders_are_called_alike(folders: list[str], alike: bool) -> None:
    """Four folders above that hold folders of the same names, in any order, make a folder one of these."""
    assert nested(*folders).is_alike is alike


def test_so_many_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that are alike have a bound in a listing; others have none."""
    monkeypatch.setattr(depth, "MOST_ALIKE", 2)
    rule, loop, other = Alike(), nested(*["a b"] * 5), nested("a", "b")
    assert [rule.refuse(loop, "x") for _ in range(2)] == [None, None]
    refused = rule.refuse(loop, "dav://host/" + "a/" * 9_000)
    assert refused is not None
    assert refused.code == "too_deep"
    assert len(refused.message) < 1_000
    assert rule.refuse(other, "x") is None
