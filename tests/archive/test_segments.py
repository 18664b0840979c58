"""Segments: valid ZIP files whose entries are where the writer reported them."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_collect.archive.segments import SegmentWriter
from prefect_collect.errors import SourceError
from prefect_collect.stores import DirectoryStore

WHEN = datetime(2024, 5, 6, 7, 8, 10, tzinfo=UTC)
NAMES = ["plain.txt", "a/new\nline %41 \"quoted\" 'x'.txt", "=cmd|' /C calc'!A0", "日本語/é.txt", "x" * 255, "empty"]


def segment(tmp_path: Path) -> SegmentWriter:
    """Return a new segment in a directory."""
    return SegmentWriter(DirectoryStore(tmp_path).writer("seg.zip"), "bag")


def test_small_items_lie_where_the_entries_say(tmp_path: Path) -> None:
    """Each item's bytes are at its offset, and unzip and zipfile accept the file."""
    writer, held = segment(tmp_path), {}
    for number, name in enumerate(NAMES):
        data = b"" if name == "empty" else f"content {number}".encode() * 20
        held[name] = (data, writer.append(name, memoryview(data), zlib.crc32(data), WHEN))
    blob = writer.close()
    whole = (tmp_path / "seg.zip").read_bytes()
    assert blob.size == len(whole)
    for data, entry in held.values():
        assert whole[entry.offset : entry.offset + entry.stored_size] == data
        assert whole[entry.entry_offset :].startswith(b"PK\x03\x04")
    with zipfile.ZipFile(tmp_path / "seg.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"bag/data/{name}" for name in NAMES]
    if shutil.which("unzip"):
        assert subprocess.run(["unzip", "-tqq", tmp_path / "seg.zip"], check=False).returncode == 0


def test_deflate_is_used_only_where_it_helps(tmp_path: Path) -> None:
    """Text is deflated when asked for, random bytes are stored."""
    import random

    text, noise = b"again and again " * 500, random.Random(1).randbytes(5_000)
    writer = segment(tmp_path)
    small = writer.append("text", text, zlib.crc32(text), WHEN, deflate=True)
    same = writer.append("noise", noise, zlib.crc32(noise), WHEN, deflate=True)
    writer.close()
    assert small.deflated
    assert small.stored_size < len(text) / 10
    assert not same.deflated
    with zipfile.ZipFile(tmp_path / "seg.zip") as archive:
        assert archive.read("bag/data/text") == text
        assert archive.read("bag/data/noise") == noise


@pytest.mark.parametrize("hint", [None, 300_000, 5 << 30])
def test_a_streamed_item(tmp_path: Path, hint: int | None) -> None:
    """An item whose CRC is known only at its end gets a complete header, whatever was announced."""
    writer = segment(tmp_path)
    offset = writer.begin("big.bin", hint, WHEN)
    data = bytes(range(250)) * 1200
    for start in range(0, len(data), 70_000):
        writer.write(memoryview(data)[start : start + 70_000])
    entry = writer.end(zlib.crc32(data), len(data))
    writer.close()
    assert entry.offset == offset
    with zipfile.ZipFile(tmp_path / "seg.zip") as archive:
        assert archive.read("bag/data/big.bin") == data
    if shutil.which("unzip"):
        assert subprocess.run(["unzip", "-tqq", tmp_path / "seg.zip"], check=False).returncode == 0


def test_an_empty_segment_is_a_zip_file(tmp_path: Path) -> None:
    """A segment without items can be opened."""
    segment(tmp_path).close()
    assert zipfile.ZipFile(tmp_path / "seg.zip").namelist() == []


def test_an_aborted_segment_leaves_nothing(tmp_path: Path) -> None:
    """After abort there is no file."""
    writer = segment(tmp_path)
    writer.begin("big.bin", None, WHEN)
    writer.write(b"x" * 10)
    writer.abort()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Counting:
    """A blob writer that counts bytes and keeps patches, for items too large to write in a test."""

    def __init__(self) -> None:
        self.position = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Count the bytes."""
        self.position += len(data)


def test_an_item_that_grows_over_4_gib_is_refused() -> None:
    """Its header has no field for the size, so the item fails as changed."""
    writer = SegmentWriter(Counting(), "bag")  # type: ignore[arg-type]
    writer.begin("big.bin", 1000, WHEN)
    chunk = bytes(1 << 26)
    for _ in range(64):
        writer.write(chunk)
    with pytest.raises(SourceError, match=r"grew over 4 GiB.*\[item=bag/data/big.bin\]") as raised:
        writer.end(0, 64 << 26)
    assert raised.value.code == "changed_during_read"


def test_misuse_is_refused(tmp_path: Path) -> None:
    """Streaming after another entry, or ending with another size, is an error of the program."""
    writer = segment(tmp_path)
    writer.append("a", b"", 0, None)
    with pytest.raises(ValueError, match="first entry"):
        writer.begin("b", None, None)
    writer.abort()
