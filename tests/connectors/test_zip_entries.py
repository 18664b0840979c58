"""The entries of ZIP files as files: read at any place, and not believed."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.archive.problems import Damaged
from prefect_collect.archive.zip_directory import ZipEntry
from prefect_collect.blocks import FileSource
from prefect_collect.connectors.containers.entries import Entry
from prefect_collect.connectors.containers.ids import (
    entry_id,
    entry_of,
    file_id,
    outermost,
    source_id,
    span_id,
    span_of,
)
from prefect_collect.connectors.containers.judging import conflicts, name_hash
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.connectors.containers.unpacked import Unpacked
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from tests.examples import examples

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(NAMES, NAMES, st.integers(0, 10**15), st.integers(0, 10**15))
def test_ids(file: str, name: str, at: int, size: int) -> None:
    """An id leads back to exactly what it was made of, whatever signs names have."""
    outer = file_id(file)
    entry = entry_id(outer, name, at)
    part = span_id(entry, at, at + size)
    assert source_id(outer) == file
    assert entry_of(entry) == (outer, name, at)
    assert span_of(part) == (entry, at, at + size)
    assert outermost(part) == file
    assert span_of(outer) is None
    assert entry_of(outer) is None


def test_any_place_of_deflated_bytes() -> None:
    """Ranges in any order are the bytes; what is read in order is unpacked once."""
    chance = random.Random(1)
    data = b"".join(bytes([chance.randrange(64)]) * chance.randrange(1, 400) for _ in range(200_000))
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    reads = []

    def read(start: int, end: int) -> bytes:
        reads.append(end - start)
        return packed[start:end]

    unpacked = Unpacked(read, len(packed), len(data))
    for start in range(0, len(data), 1 << 20):
        assert b"".join(unpacked.stream(start, min(len(data), start + 5_000))) == data[start : start + 5_000]
    assert sum(reads) <= len(packed)
    for start in (30_000_000, 7, len(data) - 9, 17_000_000, 16_999_000, 0):
        assert b"".join(unpacked.stream(start, min(len(data), start + 3_000_000))) == data[start : start + 3_000_000]
    with pytest.raises(Damaged, match="end at"):
        list(Unpacked(read, len(packed) // 2, len(data)).stream(len(data) - 5, len(data)))
    with pytest.raises(Damaged, match="more than its stated size"):
        list(Unpacked(read, len(packed), 100).stream(0, 100))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, streamed: bool = False) -> bytes:
    """Return a ZIP file; `streamed` as programs write it that do not know the sizes before."""
    raw = io.BytesIO()
    to: IO[bytes] = _Unseekable(raw) if streamed else raw  # type: ignore[assignment]  # it has what ZipFile uses
    with zipfile.ZipFile(to, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return raw.getvalue()


class _Unseekable:
    def __init__(self, raw: io.BytesIO) -> None:
        self.write, self.flush = raw.write, raw.flush


def listed(path: Path) -> list[Entry | Item]:
    """Return the entries of a ZIP file, and in place of the rest a failure if it cannot be read."""
    tree = FileTree(FileSource(root=path))
    (archive,) = tree.files()
    assert not isinstance(archive, Item)
    found = [*tree.looked_into(archive, tree.entries(archive))]
    for each in found:
        if isinstance(each, Entry):
            again = FileTree(FileSource(root=path)).file(each.item.id)
            assert again.item == each.item
    return found  # type: ignore[return-value]


def contents(path: Path) -> dict[str, bytes | str]:
    """Return the bytes of each entry by its path, or the code of its failure."""
    found: dict[str, bytes | str] = {}
    for each in listed(path):
        if isinstance(each, Item):
            assert each.failure is not None
            found[each.path] = each.failure.code
            continue
        try:
            with each.open() as content:
                found[each.item.path] = b"".join(content.chunks)
                assert content.size == each.size
            if each.size:
                assert each.read(1, each.size) == b"".join(each.stream())[1:]
        except SourceError as error:
            found[each.item.path] = error.code
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("streamed", [False, True])
def test_every_usual_form(tmp_path: Path, method: int, streamed: bool) -> None:
    """Entries of all usual methods are read, also with sizes that come after them; folders are no items."""
    files = {"a/ü!@5.txt": b"x" * 300_000, "b%21": b"", "c\\d.txt": b"y"}
    (tmp_path / "x.zip").write_bytes(zipped({**files, "folder/": b""}, method, streamed))
    assert contents(tmp_path / "x.zip") == {"a/ü!@5.txt": b"x" * 300_000, "b%21": b"", "c/d.txt": b"y"}


def test_zip64(tmp_path: Path) -> None:
    """Entries and directories with 8-byte sizes and places are read."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            with archive.open(f"{number}", "w", force_zip64=True) as entry:
                entry.write(b"x" * 1_000)
    data = (tmp_path / "x.zip").read_bytes()
    end = data.rindex(b"PK\5\6")
    count, size, at = 3, end - data.index(b"PK\1\2"), data.index(b"PK\1\2")
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, at)
    wide += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    narrow = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "x.zip").write_bytes(data[:end] + wide + narrow)
    assert contents(tmp_path / "x.zip") == {f"{number}": b"x" * 1_000 for number in range(3)}


def test_places_beyond_every_file() -> None:
    """A place and a size whose sum has more than 64 bits are compared, too."""
    far = ZipEntry("a", b"a", 0, 0, 0, 0, 9, 9, (1 << 64) - 2, 0, 1)
    near = ZipEntry("b", b"b", 0, 0, 0, 0, 9, 9, 0, 0, 2)
    assert conflicts(iter([near, far])) == (set(), set())
    assert conflicts(iter([])) == (set(), set())
    assert conflicts(iter([near, near])) == ({name_hash(near)}, {2})


def test_many_entries(tmp_path: Path) -> None:
    """A directory of several windows is read whole."""
    names = [f"{'n' * 200}{number}" for number in range(9_000)]
    (tmp_path / "x.zip").write_bytes(zipped(dict.fromkeys(names, b"x"), zipfile.ZIP_STORED))
    tree = FileTree(FileSource(root=tmp_path / "x.zip"))
    (archive,) = tree.files()
    assert not isinstance(archive, Item)
    found = [each for each in tree.entries(archive) if isinstance(each, Entry)]
    assert [each.item.path for each in found] == names
    assert tree.file(found[7_777].item.id).item == found[7_777].item


def replaced(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    """Return the bytes with a name replaced."""
    assert len(old) == len(new)
    return data.replace(old, new, count)


def patched(data: bytes, field: int, value: bytes) -> bytes:
    """Return the bytes with a field of the central directory's record of ``name-b`` changed."""
    at = data.rindex(b"name-b") - 46 + field
    return data[:at] + value + data[at + len(value) :]


FORGED = {
    "doubled": (lambda data: replaced(data, b"name-b", b"name-a"), "unreadable_entry"),
    "encrypted": (lambda data: patched(data, 8, b"\1\0"), "encrypted_entry"),
    "traversal": (lambda data: replaced(data, b"name-b", b"../../"), "path_unsafe"),
    "overlapping": (lambda data: patched(data, 42, bytes(4)), "unreadable_entry"),
    "Deflate64": (lambda data: patched(data, 10, b"\x09\0"), "unreadable_entry"),
    "another header": (lambda data: replaced(data, b"name-b", b"name-c", 1), "unreadable_entry"),
    "bomb": (lambda data: patched(data, 24, struct.pack("<L", 3 << 30)), "unreadable_entry"),
    "CRC": (lambda data: patched(data, 16, b"abcd"), "checksum_mismatch"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_not_believed(tmp_path: Path, forged: str) -> None:
    """An entry about which the ZIP file is not honest fails; the others are read."""
    forge, code = FORGED[forged]
    data = zipped({"name-a": b"a" * 900, "name-b": b"b" * 900, "name-z": b"z" * 900}, streamed=False)
    (tmp_path / "x.zip").write_bytes(forge(data))
    found = contents(tmp_path / "x.zip")
    if code == "checksum_mismatch":  # compared by the job
        (entry,) = (each for each in listed(tmp_path / "x.zip") if isinstance(each, Entry) and "-b" in each.item.path)
        with pytest.raises(SourceError, match="CRC-32"):
            list(entry.stream())
    else:
        assert code in found.values()
    assert found["name-z"] == b"z" * 900


def test_files_that_are_not_as_they_should_be(tmp_path: Path) -> None:
    """Of a ZIP file that is cut, or to which bytes were added, the listing says so; so of one that is none."""
    data = zipped({"name-a": b"a" * 900, "name-b": b"b" * 900})
    path = tmp_path / "x.zip"
    for changed in (data[:-3], data[:200], b"", b"PK\3\4", data + b"x", b"more" + data):
        path.write_bytes(changed)
        assert "unreadable_entry" in contents(path).values()


@settings(max_examples=examples(60))
@given(st.integers(0, 400), st.integers(0, 255), st.integers(1, 4))
def test_any_damage(tmp_path_factory: pytest.TempPathFactory, at: int, value: int, count: int) -> None:
    """Whatever is changed in a ZIP file: what is read is what was there, or the reason why not."""
    data = bytearray(zipped({"name-a": b"a" * 900, "name-b": bytes(range(90))}))
    data[at % len(data) : at % len(data) + count] = bytes([value]) * count
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data)
    for found in contents(path).values():
        assert isinstance(found, bytes | str)


def test_a_file_that_was_replaced(tmp_path: Path) -> None:
    """An entry of a ZIP file that is another one now is not found, or known as changed by its mark."""
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"name-a": b"a", "name-b": b"b"}))
    _, entry = listed(path)
    assert isinstance(entry, Entry)
    path.write_bytes(zipped({"name-c": b"a", "name-b!": b"b"}))
    with pytest.raises(SourceError) as caught:
        FileTree(FileSource(root=path)).file(entry.item.id)
    assert caught.value.code == "not_found"
    path.write_bytes(zipped({"name-a": b"a", "name-b": b"c"}))
    with FileTree(FileSource(root=path)).file(entry.item.id).open() as content:
        assert content.version != entry.item.version
