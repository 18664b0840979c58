"""The store in a directory: ranges of other files, composed to a new one."""

from __future__ import annotations

import errno
import os

import pytest

from prefect_collect.stores import CopyRange, DirectoryStore, _directory_writer
from tests.stores.patterned import MIB, patterned


def test_compose_without_copy_file_range(
    store: DirectoryStore, other: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel cannot copy between two file systems, the bytes are read and written."""

    def refusing(*_: object, **__: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refusing)
    data = patterned(20 * MIB)
    other.create("segment", data)
    store.compose("out", [b"<", CopyRange("segment", 7, 19 * MIB), b">"], other)
    assert store.read("out") == b"<" + data[7 : 19 * MIB] + b">"


def test_sparse_files_of_five_gigabytes(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges beyond 4 GiB are copied, in several calls of the kernel, and read from the right place."""
    monkeypatch.setattr(_directory_writer, "_AT_ONCE", MIB // 4)
    last = patterned(MIB - 3) + b"end"
    (store.root / "huge").touch()
    os.truncate(store.root / "huge", 5 << 30)
    with (store.root / "huge").open("r+b") as file:
        file.seek((5 << 30) - MIB)
        file.write(last)
    store.compose("out", [CopyRange("huge", (5 << 30) - MIB, 5 << 30), b"!"], store)
    assert store.read("out") == last + b"!"
    assert store.read("huge", (5 << 30) - 3) == b"end"


def test_small_ranges_in_any_order(store: DirectoryStore, other: DirectoryStore) -> None:
    """Small ranges of two files are copied right, whether they follow one another, overlap or go back."""
    data = {"a": patterned(3 * MIB), "b": patterned(2 * MIB)[::-1]}
    for key, content in data.items():
        other.create(key, content)
    starts = [*range(0, 3 * MIB - 9_000, 4_100), 7, 6, 5, MIB + 1, 70_000, 70_001, 2 * MIB - 3]
    ranges = [CopyRange(key, start, start + 4_000) for key in ("a", "b", "a") for start in starts]
    ranges = [piece for piece in ranges if piece.end <= len(data[piece.key])]
    store.compose("out", [each for piece in ranges for each in (b"+", piece)], other)
    assert store.read("out") == b"".join(b"+" + data[piece.key][piece.start : piece.end] for piece in ranges)
