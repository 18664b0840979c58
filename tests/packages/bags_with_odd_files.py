"""Files, names and ZIP entries of other tools' bags, and how they are judged."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.packages.foreign_bags import as_folder, as_zip, bag
from tests.packages.judged_bags import VALID, WARNING, WRONG, Case, Cases

CASES = Cases()
case, made = CASES.add, CASES.made

ACCENTED: Final = unicodedata.normalize("NFC", "data/Núñez")

case("there is no `bagit.txt`", WRONG, {**bag(bagit_txt=None), "BAGIT.TXT": b""}, "BAGIT.TXT exists, which differs in")
case("there is no `bagit.txt`", WRONG, {"data/a": b""}, "this is not a bag")
case("there is no folder `data`", WRONG, bag("1.0", {}), "the payload folder is missing")
case(
    "files that macOS's archiver puts into `__MACOSX`",
    WARNING,
    {**bag(), "../__MACOSX/bag/._a": b""},
    "no part of it",
    zipped=True,
)
case(
    "other files beside the bag's folder in a ZIP file",
    WRONG,
    {**bag(), "../other.txt": b""},
    "outside of the bag's folder",
    zipped=True,
)
both = {"data/a": b"", "data/A": b""}
case(
    "files whose names differ only in case or Unicode form",
    WARNING,
    bag("1.0", both),
    "differ only in upper and lower case",
)
forms = {ACCENTED: b"", unicodedata.normalize("NFD", ACCENTED): b""}
case("files whose names differ only in case or Unicode form", WARNING, bag("1.0", forms), "only in their Unicode form")
case(
    "`.DS_Store`, `Thumbs.db` and the like in the payload",
    WARNING,
    bag("1.0", {"data/.DS_Store": b""}),
    "systems make by themselves",
)


@made("a symbolic link, pipe, socket or device", WRONG, "a symbolic link")
def _link(path: Path) -> Path:
    root = as_folder(bag(), path / "bag")
    (root / "data/link").symlink_to("/etc/passwd")
    return root


@made("a symbolic link, pipe, socket or device", WRONG, "a pipe")
def _pipe(path: Path) -> Path:
    root = as_folder(bag(), path / "bag")
    (root / "data/a.txt").unlink()
    os.mkfifo(root / "data/a.txt")
    return root


def moded(path: Path, mode: int) -> Path:
    """Return a ZIP file with an entry of that mode."""
    as_zip(bag(), path / "bag.zip")
    with zipfile.ZipFile(path / "bag.zip", "a") as archive:
        for info in archive.infolist():
            if info.filename == "bag/data/a.txt":
                info.external_attr = mode << 16
        archive.writestr("bag/folder/", b"")
    return path / "bag.zip"


CASES += [
    Case("a symbolic link, pipe, socket or device", WRONG, partial(moded, mode=kind | 0o644), "it is a")
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)
]
row = "an entry asks for set-user-ID, set-group-ID or sticky rights"
CASES.append(Case(row, WARNING, lambda path: moded(path, stat.S_IFREG | 0o4755), "set-user-ID"))


def compressed(path: Path, files: Mapping[str, bytes], method: int) -> Path:
    """Return a ZIP file."""
    return as_zip(files, path / "bag.zip", method)


row = "compressed with Deflate, bzip2 or LZMA"
for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED):
    large = bag("1.0", {"data/a": os.urandom(100) * 30_000})
    CASES.append(Case(row, VALID, partial(compressed, files=large, method=method)))


def patched(path: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    """Return a stored ZIP file whose bytes were changed."""
    file = as_zip(bag(), path / "bag.zip", zipfile.ZIP_STORED)
    file.write_bytes(change(bytearray(file.read_bytes())))
    return file


def record(data: bytearray, name: bytes) -> int:
    """Return the offset of an entry's central record."""
    return data.rindex(name) - 46


@made(
    "compressed in another way, or encrypted",
    WRONG,
    "data/a.txt: its compression method 93 (Zstandard) is not supported",
)
def _zstandard(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = record(data, b"bag/data/a.txt") + 10
        data[at : at + 2] = (93).to_bytes(2, "little")
        return data

    return patched(path, change)


@made("compressed in another way, or encrypted", WRONG, "data/a.txt: it is encrypted")
def _encrypted(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        data[record(data, b"bag/data/a.txt") + 8] |= 1
        return data

    return patched(path, change)


@made("entries share bytes, as in a ZIP bomb", WRONG, "belong to another entry")
def _overlapping(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        one, other = record(data, b"bag/bagit.txt"), record(data, b"bag/data/a.txt")
        data[other + 42 : other + 46] = data[one + 42 : one + 46]
        return data

    return patched(path, change)


@made("a local header and the central directory do not agree", WRONG, "names another file: bag/data/z.txt")
def _other_name(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = data.index(b"bag/data/a.txt")
        data[at + 9] = ord("z")
        return data

    return patched(path, change)


@made("a local header and the central directory do not agree", WRONG, "do not agree on its size or CRC-32")
def _other_crc(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        data[data.index(b"bag/data/a.txt") - 16] ^= 1
        return data

    return patched(path, change)


@made("a size or place that is beyond the file (ZIP64's 2⁶⁴-1)", WRONG, "a size or a place that it cannot have")
def _endless(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        at = record(data, b"bag/data/a.txt")
        data[at + 20 : at + 28] = b"\xff" * 8
        extra = b"\x01\x00\x10\x00" + b"\xff" * 16
        data[at + 30 : at + 32] = len(extra).to_bytes(2, "little")
        end = at + 46 + len("bag/data/a.txt")
        data[end:end] = extra
        size = data.rindex(b"PK\x05\x06") + 12
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "little") + len(extra)).to_bytes(4, "little")
        return data

    return patched(path, change)


@made("bytes before the first entry that its place counts, as in a self-extracting file", VALID)
def _self_extracting(path: Path) -> Path:
    with (path / "bag.exe").open("wb") as file:
        file.write(b"MZ" + bytes(500))
        with zipfile.ZipFile(file, "a") as archive:
            for name, content in bag().items():
                archive.writestr(f"bag/{name}", content)
    return path / "bag.exe"


@made("bytes before the first entry that its place does not count", WRONG, "4 bytes were added before it")
def _prefixed(path: Path) -> Path:
    return patched(path, lambda data: b"more" + data)


@made("backslashes instead of slashes in all names", WRONG, "bag\\bagit.txt exists, with")
def _backslashes(path: Path) -> Path:
    with zipfile.ZipFile(path / "bag.zip", "w") as archive:
        for name, content in bag().items():
            archive.writestr(f"bag\\{name}".replace("/", "\\"), content)
    return path / "bag.zip"


def written(path: Path, data: bytes) -> Path:
    """Return a file of these bytes."""
    (path / "bag.zip").write_bytes(data)
    return path / "bag.zip"


row = "another kind of archive (tar, gzip, 7z, …)"
CASES += [
    Case(row, WRONG, partial(written, data=mark), said)
    for mark, said in (
        (b"\x1f\x8b", "it is a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive"),
        (bytes(257) + b"ustar", "it is a tar archive"),
        (b"", "it is an empty file"),
    )
]


def renamed(path: Path, name: str, raw: bytes, other: str = "") -> Path:
    """Return a ZIP file whose record names the file `name` by `raw`, and a Unicode Path extra field by `other`."""
    with zipfile.ZipFile(path / "bag.zip", "w") as archive:
        for each, content in bag("1.0", {name: b"x"}).items():
            info = zipfile.ZipInfo(f"bag/{each}" if each != name else "z" * len(raw))
            if other and each == name:
                data = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + other.encode()
                info.extra = b"up" + len(data).to_bytes(2, "little") + data
            archive.writestr(info, content)
    file = path / "bag.zip"
    file.write_bytes(file.read_bytes().replace(b"z" * len(raw), raw))
    return file


row = "names that are no UTF-8: a Unicode Path extra field is there, or they are in code page 437"
CASES += [
    Case(row, VALID, lambda path: renamed(path, "data/ø.txt", "bag/data/ø.txt".encode("cp850"), "bag/data/ø.txt")),
    Case(row, VALID, lambda path: renamed(path, "data/ü.txt", "bag/data/ü.txt".encode("cp437"))),
    Case(
        "names that are no UTF-8, in another code page",
        WRONG,
        lambda path: renamed(path, "data/ø.txt", "bag/data/ø.txt".encode("cp850")),
        "1 entries are no UTF-8 and were read as code page 437",
    ),
]


row = "an entry to which a Unicode Path extra field gives another name than its record"
CASES += [
    Case(
        row, WRONG, lambda path: renamed(path, "data/a.txt", b"bag/data/a.txt", "../evil.txt"), "gives it another name"
    ),
    Case(
        row,
        WRONG,
        lambda path: renamed(path, "data/a.txt", b"../ev\xe9l", "bag/data/a.txt"),
        "without Unicode Path fields its name",
    ),
]


@made("bytes after the end, or two ends that fit", WRONG, "4 bytes follow")
def _trailing(path: Path) -> Path:
    return patched(path, lambda data: data + b"more")


@made("bytes after the end, or two ends that fit", WRONG, "2 end records fit")
def _two_ends(path: Path) -> Path:
    def change(data: bytearray) -> bytearray:
        end = bytes(data[-22:])
        return data[:-2] + len(end).to_bytes(2, "little") + end

    return patched(path, change)


@made("two entries have one name", WRONG, "data/a.txt: two entries have this name")
def _twice(path: Path) -> Path:
    as_zip(bag(), path / "bag.zip")
    with zipfile.ZipFile(path / "bag.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bag/data/a.txt", b"other")
    return path / "bag.zip"


for bad in ("../../x", "bag/data/../../x", "/x", "C:/x", "bag//x", "bag/./x"):
    name = bad if bad.startswith("bag") else f"../{bad}"
    name = name.removeprefix("bag/")
    case(
        "an entry's name leads outside, or has empty or `.` parts", WRONG, {**bag(), name: b""}, "its name", zipped=True
    )
slashed = {"data/a\\b": b""}
case("a name has a backslash", WARNING, bag("1.0", slashed), "which Windows reads")
