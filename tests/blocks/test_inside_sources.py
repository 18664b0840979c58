"""What is known of an export is kept for a block and its copies, and not for another block."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource, VaultExportSource
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from tests.integration.sources.places import read
from tests.support.vault_export import xml


def test_copies_read_the_lists_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a block that come one after the other, as shards bring them, read the export's lists once; another
    block of the same files reads them anew, and so does a copy that has other files.
    """
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "x-metadata.xml").write_bytes(xml(("1", {}, "a.txt")))
    source = VaultExportSource(inside=str(tmp_path))
    item = next(item for item in items_of(source) if item.path == "a.txt")
    sent = pickle.dumps(VaultExportSource(inside=str(tmp_path)))
    asked: list[str] = []
    open_range = FileSource.open_range

    def counted(holder: FileSource, item: Item, start: int, end: int) -> object:
        asked.append(item.path)
        return open_range(holder, item, start, end)

    monkeypatch.setattr(FileSource, "open_range", counted)
    for _ in range(3):
        with pickle.loads(sent).open(item) as content:
            assert dict(content.metadata or {})["export.id"] == "1"
    assert asked.count("x-metadata.xml") == 1
    assert read(VaultExportSource(inside=str(tmp_path)), item) == b"a"
    assert asked.count("x-metadata.xml") == 2
    (tmp_path / "else").mkdir()
    (tmp_path / "else/a.txt").write_bytes(b"b")
    moved = pickle.loads(sent).model_copy(update={"inside": FileSource(root=tmp_path / "else")})
    assert read(moved, item) == b"b"


def test_a_fork_while_the_lists_are_read(tmp_path: Path) -> None:
    """A process that is forked while a thread holds the lock of what is kept does not wait for it."""
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "x-metadata.xml").write_bytes(xml(("1", {}, "a.txt")))
    source = VaultExportSource(inside=str(tmp_path))
    item = next(item for item in items_of(source) if item.path == "a.txt")
    context = multiprocessing.get_context("fork")
    with source._export()._lock:
        process = context.Process(target=_read_and_end, args=(source, item))
        process.start()
        process.join(30)
    process.kill()
    assert process.exitcode == 0


def _read_and_end(source: VaultExportSource, item: Item) -> None:
    """Read an item, and end at once, without what Prefect does at the end of a process that has used it."""
    assert read(source, item) == b"a"
    os._exit(0)
