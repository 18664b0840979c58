"""What the page of a draft says of what is expected."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from prefect_collect import FileSource
from prefect_collect.flows import draft_estimates
from prefect_collect.flows.draft_estimates import draft_estimate
from prefect_collect.job_folder.long_queries import save_query
from prefect_collect.stores import DirectoryStore


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    """A folder of two files."""
    (tmp_path / "docs").mkdir()
    for name in ("a.txt", "b.bin"):
        (tmp_path / "docs" / name).write_bytes(b"12345")
    return FileSource(name="docs", root=tmp_path / "docs")


def test_it_is_kept_for_the_job(source: FileSource, tmp_path: Path) -> None:
    """It counts what the query takes; a known one of the same source and query will do, another one will not."""
    store = DirectoryStore(tmp_path / "store")
    assert ": 1 item, 5 bytes; no time, without an earlier job." in draft_estimate(
        source, {"include": ["*.txt"]}, store
    )
    (tmp_path / "docs" / "c.txt").touch()
    assert ": 1 item, 5 bytes;" in draft_estimate(source, {"include": ["*.txt"]}, store, known=True)
    assert ": 3 items, 10 bytes;" in draft_estimate(source, None, store, known=True)
    assert ": 2 items, 5 bytes;" in draft_estimate(source, {"include": ["*.txt"]}, store)


def test_patterns_of_a_file(source: FileSource, tmp_path: Path) -> None:
    """A query whose patterns are in a file of the staging store is estimated like any other."""
    store = DirectoryStore(tmp_path / "store")
    assert ": 1 item, 5 bytes;" in draft_estimate(source, save_query(store, {"include": ["*.txt"]}), store)


def test_why_there_is_none(source: FileSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is said in the sentence: a place that is gone, a source that hangs, one that breaks."""
    store = DirectoryStore(tmp_path / "store")
    (tmp_path / "file").touch()

    monkeypatch.setattr(draft_estimates, "_SECONDS", 0.05)
    assert "only what is new" in draft_estimate(source, None, store, "last")
    for of, query, place, why in (
        (FileSource(name="gone", root=tmp_path / "gone"), None, store, "gone"),
        (source, {"nonsense": 1}, store, "nonsense"),
        (source, None, DirectoryStore(tmp_path / "file"), "not a folder"),
    ):
        said = draft_estimate(of, query, place)
        assert said.startswith("Not estimated: "), said
        assert why in said, said
    let_go = threading.Event()
    for listing, why in ((let_go.wait, "did not answer"), (lambda: 1 // 0, "ZeroDivisionError")):
        monkeypatch.setattr(FileSource, "items", lambda _, listing=listing: iter([listing()]))
        said = draft_estimate(source, None, store)
        assert said.startswith("Not estimated: "), said
        assert why in said, said
    let_go.set()
