"""A directory store on disks that are full, read-only, or another file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prefect_collect.errors import StoreAccessDenied, StoreFull
from prefect_collect.stores import BlobWriter, CopyRange, DirectoryStore
from tests.stores.patterned import MIB, patterned

pytestmark = pytest.mark.integration


def test_full_disk(full_disk: Path) -> None:
    """Every way to write reports a full disk with the place; nothing partial is left, and older files stay."""
    store = DirectoryStore(full_disk)
    store.create("kept", b"kept")
    with pytest.raises(StoreFull, match=r"No space.*/large\]$"):
        store.create("large", b"x" * (4 * MIB))
    writer = store.writer("large")
    with pytest.raises(StoreFull):
        _write_forever(writer)
    writer.abort()
    (full_disk / "kept2").write_bytes(b"x" * MIB)
    with pytest.raises(StoreFull):
        store.compose("large", [CopyRange("kept2", 0, MIB)] * 3, store)
    assert [blob.key for blob in store.list()] == ["kept", "kept2"]
    assert os.statvfs(full_disk).f_bfree * os.statvfs(full_disk).f_bsize > MIB // 2
    store.create("fits", b"again")


def _write_forever(writer: BlobWriter) -> None:
    while True:
        writer.write(b"x" * 100_000)


def test_disk_that_fills_while_small_writes_are_gathered(full_disk: Path) -> None:
    """Small writes that are gathered before they are written fail at the commit at the latest."""
    store = DirectoryStore(full_disk)
    (full_disk / "filler").write_bytes(b"x" * (2 * MIB - 64 * 1024))
    writer = store.writer("k")
    writer.write(b"x" * 200_000)
    with pytest.raises(StoreFull):
        writer.commit()
    writer.abort()
    assert [blob.key for blob in store.list()] == ["filler"]


def test_read_only_disk(read_only_dir: Path) -> None:
    """A read-only disk refuses writing, also for root, and can still be read."""
    store = DirectoryStore(read_only_dir / "below")
    assert list(store.list()) == []
    with pytest.raises(StoreAccessDenied, match="read-only"):
        store.create("k", b"x")
    with pytest.raises(StoreAccessDenied):
        store.writer("k")
    with pytest.raises(StoreAccessDenied):
        store.require_exclusive_creates()


def test_compose_across_file_systems(full_disk: Path, tmp_path: Path) -> None:
    """Between two file systems the bytes are copied."""
    source, target = DirectoryStore(tmp_path / "source"), DirectoryStore(full_disk)
    data = patterned(MIB)
    source.create("seg", data)
    target.compose("out", [b"<", CopyRange("seg", 5, MIB), b">"], source)
    assert target.read("out") == b"<" + data[5:] + b">"
