"""Verifying packages: every changed, missing or added byte is found and named."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_collect.errors import PackageError
from prefect_collect.packages import Verification, verify
from prefect_collect.stores import DirectoryStore
from tests.examples import examples

ITEMS = {
    "a.txt": b"alpha" * 20,
    "sub/new\nline %0A.txt": b"beta",
    "empty": b"",
    "sub/ü.bin": random.Random(3).randbytes(900),
}
RELAXED = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def package(staging: Any, exports: DirectoryStore) -> Path:
    """Return a small ZIP package."""
    staging.stage(ITEMS)
    staging.lose("gone.txt")
    staging.zip(exports, sha512=True)
    return Path(exports.locate("out.zip"))


@pytest.fixture
def folder(staging: Any, exports: DirectoryStore) -> Path:
    """Return the same package as a folder."""
    staging.stage(ITEMS)
    staging.lose("gone.txt")
    staging.directory(exports, sha512=True)
    return Path(exports.locate("out"))


def what(found: Verification) -> str:
    """Return all problems as text."""
    return "\n".join(map(str, found.problems))


def test_a_good_package_is_valid(package: Path) -> None:
    """The verdict comes with counts, the tool and the fingerprint."""
    found = verify(package)
    assert (found.valid, found.items, found.not_delivered) == (True, 4, 1)
    assert found.bytes == sum(map(len, ITEMS.values()))
    assert len(found.fingerprint) == 64
    assert found.tool.startswith("prefect-collect")


@RELAXED
@given(st.data())
def test_any_single_byte_is_found(package: Path, data: st.DataObject) -> None:
    """A byte of the ZIP file that is flipped, inserted or deleted anywhere is a problem that names a place."""
    whole = package.with_name("whole.zip")
    if not whole.exists():
        shutil.copy(package, whole)
    good = whole.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    how = data.draw(st.sampled_from(["flip", "insert", "delete"]))
    if how == "flip":
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    elif how == "insert":
        bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at:]
    else:
        bad = good[:at] + good[at + 1 :]
    package.write_bytes(bad)
    found = verify(package)
    assert not found.valid
    assert found.problems[0].path


@pytest.mark.parametrize("path", list(ITEMS))
def test_an_altered_item_is_named(package: Path, staging: Any, path: str) -> None:
    """The problem of a changed byte in an item names that item only."""
    with zipfile.ZipFile(package) as archive:
        info = archive.getinfo(f"docs/data/{path}")
        start = info.header_offset + 30 + len(info.filename.encode())
    data = bytearray(package.read_bytes())
    if info.file_size:
        data[start] ^= 1
        package.write_bytes(data)
        assert {problem.path for problem in verify(package).problems} == {f"data/{path}"}


def test_a_byte_added_in_an_item_names_the_item(package: Path) -> None:
    """Although everything after it has moved, only the damaged item is named."""
    data = package.read_bytes()
    at = data.index(b"alpha") + 7
    package.write_bytes(data[:at] + b"x" + data[at:])
    assert {problem.path for problem in verify(package).problems} == {"central directory", "data/a.txt"}


def test_bytes_after_the_end_are_found(package: Path) -> None:
    """Nothing may follow the end record."""
    with open(package, "ab") as file:
        file.write(b"more")
    assert "end record: 4 bytes follow" in what(verify(package))


def test_an_added_entry_is_found(package: Path) -> None:
    """An entry that a tool adds, anywhere in the bag, is a problem."""
    for name in ("docs/data/extra", "docs/extra.txt", "other/x", "docs/data/../../x", "docs/folder/"):
        copy = package.with_name("copy.zip")
        shutil.copy(package, copy)
        with zipfile.ZipFile(copy, "a") as archive:
            archive.writestr(name, b"")
        assert name.removeprefix("docs/") in what(verify(copy)).replace("docs/", "")


def test_a_duplicate_entry_is_found(package: Path) -> None:
    """Two entries of one name could show different bytes to different readers."""
    with zipfile.ZipFile(package, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("docs/data/a.txt", b"other")
    assert "data/a.txt: two entries have this name" in what(verify(package))


def test_a_removed_entry_is_found(package: Path) -> None:
    """An item that is missing from the package is named."""
    smaller = package.with_name("smaller.zip")
    with zipfile.ZipFile(package) as archive, zipfile.ZipFile(smaller, "w") as new:
        for name in archive.namelist():
            if name != "docs/data/a.txt":
                new.writestr(name, archive.read(name))
    assert "data/a.txt: it is missing; manifest-sha256.txt, manifest-sha512.txt list it" in what(verify(smaller))
    assert "Payload-Oxum" in what(verify(smaller))


MARKS = [
    "bag/bagit.txt", "BAGIT.TXT", "bag\\bagit.txt", "x/y/manifest-sha256.txt", "tagmanifest-md5.txt", "bag/data/a.txt",
    "load-file.json", "m/mail.json", "dataset.json", "group.json", "group-sha256.txt", "o/0=ocfl_object_1.0",
    "o/inventory.json.sha256", "o/v1/content/ocfl.json", "items.parquet", "docs/chain-of-custody.pdf",
]  # fmt: skip


def test_an_archive_of_other_things_is_no_package(tmp_path: Path) -> None:
    """An archive without any file of a package is none; with any of them it is one, and not valid."""
    for mark in ("", *MARKS):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name in (
                "general/2024-01-31.json",
                "users.json",
                "my-bagit.txt",
                "metadata/a.txt",
                *filter(None, [mark]),
            ):
                archive.writestr(name, b"[]")
        if mark:
            assert not verify(tmp_path / "x.zip").valid, mark
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, tarfile.open(tmp_path / "x.tar", "w") as tar:
        archive.writestr("users.json", b"[]")
        tar.addfile(tarfile.TarInfo("users.json"))
    for name in ("x.zip", "x.tar"):
        with pytest.raises(PackageError, match="The archive is no package"):
            verify(tmp_path / name)


def test_a_package_that_lost_its_declarations_is_not_valid(package: Path) -> None:
    """A package made here stays one that is not valid, whichever of its files are removed, as long as it has items."""
    smaller = package.with_name("smaller.zip")
    for kept in (r"docs/.*", r"docs/(?!bagit).*", r"docs/(data|.*manifest).*", r"docs/data/.*"):
        with zipfile.ZipFile(package) as archive, zipfile.ZipFile(smaller, "w") as new:
            for name in archive.namelist():
                if re.fullmatch(kept, name, re.DOTALL) and name != "docs/bagit.txt":
                    new.writestr(name, archive.read(name))
        assert "this is not a bag" in what(verify(smaller))


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100, b"PK\x05\x06" + bytes(18)])
def test_what_is_no_package_says_so(tmp_path: Path, data: bytes) -> None:
    """Any file gives problems, not a traceback."""
    (tmp_path / "x.zip").write_bytes(data)
    assert not verify(tmp_path / "x.zip").valid


def test_every_truncation_is_found(package: Path) -> None:
    """A package cut off anywhere is not valid."""
    good = package.read_bytes()
    for size in range(0, len(good), 97):
        package.write_bytes(good[:size])
        assert not verify(package).valid


def test_nothing_there(tmp_path: Path, exports: DirectoryStore) -> None:
    """A path without a package is an error that names it."""
    with pytest.raises(PackageError, match=r"no package.*\[.*nothing\]"):
        verify(tmp_path / "nothing")
    with pytest.raises(PackageError, match="no package"):
        verify("nothing", store=exports)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PackageError, match="none of them"):
        verify(tmp_path / "pipe")


def test_a_folder_without_a_bag(tmp_path: Path) -> None:
    """An empty or other folder is no bag."""
    assert "this is not a bag" in what(verify(tmp_path))


def test_a_good_folder_is_valid(folder: Path, exports: DirectoryStore) -> None:
    """A folder is verified by its path, and by its key in a store."""
    for found in (verify(folder), verify("out", store=exports)):
        assert (found.problems, found.items, found.not_delivered) == ([], 4, 1)


@settings(RELAXED, max_examples=examples(100))
@given(st.data())
def test_any_byte_of_a_folder_is_found(folder: Path, data: st.DataObject) -> None:
    """A byte flipped in any file of the folder is found, and the file, or what it lists, is named."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    file = data.draw(st.sampled_from(files))
    good = file.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    file.write_bytes(good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :])
    found = verify(folder)
    file.write_bytes(good)
    assert not found.valid


def break_link(folder: Path) -> str:
    """Add a symbolic link."""
    (folder / "data/link").symlink_to("/etc/passwd")
    return "data/link: it is a symbolic link"


def break_missing(folder: Path) -> str:
    """Remove an item."""
    (folder / "data/a.txt").unlink()
    return "data/a.txt: it is missing"


def break_extra(folder: Path) -> str:
    """Add an item."""
    (folder / "data/extra").touch()
    return "data/extra: manifest-sha256.txt does not list it"


def break_tag(folder: Path) -> str:
    """Add a tag file."""
    (folder / "note.txt").touch()
    return "note.txt: tagmanifest-sha256.txt does not list it"


def break_tag_manifest(folder: Path) -> str:
    """Remove the tag manifest, without which no tag file is proven."""
    (folder / "tagmanifest-sha256.txt").unlink()
    (folder / "bag-info.txt").write_text((folder / "bag-info.txt").read_text() + "Contact-Name: somebody\n")
    return "tagmanifest-sha256.txt"


def break_name(folder: Path) -> str:
    """Add a name that is not UTF-8."""
    Path(os.fsdecode(bytes(folder / "data") + b"/\xff")).touch()
    return "data/\\udcff: manifest-sha256.txt does not list it"


def break_case(folder: Path) -> str:
    """Write a hash in another form."""
    file = folder / "tagmanifest-sha256.txt"
    file.write_bytes(file.read_bytes().upper().replace(b".TXT", b".txt"))
    return "tagmanifest-sha256.txt"


@pytest.mark.parametrize(
    "breaks", [break_link, break_missing, break_extra, break_tag, break_tag_manifest, break_name, break_case]
)
def test_a_folder_that_was_changed(folder: Path, breaks: Callable[[Path], str]) -> None:
    """What is added, missing or odd in a folder is named."""
    expected = breaks(folder)
    assert expected in what(verify(folder))


def test_an_unreadable_file_is_named(folder: Path) -> None:
    """A file that cannot be opened is a problem of that file."""
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / "data/a.txt").chmod(0)
    assert "data/a.txt: it cannot be opened" in what(verify(folder))


def foreign(folder: Path) -> Path:
    """Return a bag as other tools make it: MD5, CRLF, md5sum's asterisk, another order, an unlisted tag file."""
    import hashlib

    (folder / "data/deep").mkdir(parents=True)
    contents = {"data/a b.txt": b"one", "data/100%.txt": b"two", "data/deep/c": b""}
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    lines = [f"{hashlib.md5(content).hexdigest().upper()} *{path}" for path, content in contents.items()]
    (folder / "manifest-md5.txt").write_bytes("\r\n".join(lines).encode())
    (folder / "bagit.txt").write_bytes(b"BagIt-Version: 0.97\r\nTag-File-Character-Encoding: UTF-8\r\n")
    (folder / "notes.txt").write_bytes(b"not listed, which the RFC allows")
    return folder


def test_a_foreign_bag_is_checked_by_the_rfc(tmp_path: Path) -> None:
    """A bag of another tool need not have our form, as a folder or as a ZIP file."""
    folder = foreign(tmp_path / "theirs")
    assert what(verify(folder)) == ""
    subprocess.run(["7z", "a", "-tzip", "-bd", "theirs.zip", "theirs"], cwd=tmp_path, check=True, capture_output=True)
    assert what(verify(tmp_path / "theirs.zip")) == ""
    with zipfile.ZipFile(tmp_path / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    assert what(verify(tmp_path / "two.zip")) == ""
    (folder / "data/a b.txt").write_bytes(b"eno")
    assert what(verify(folder)) == "data/a b.txt: its bytes are not those that manifest-md5.txt lists"


def test_a_bag_without_declaration_or_manifest(tmp_path: Path) -> None:
    """bagit.txt must be as RFC 8493 requires, and there must be a payload manifest."""
    folder = foreign(tmp_path / "theirs")
    (folder / "bagit.txt").write_bytes(b"BagIt-Version: x\n")
    (folder / "manifest-md5.txt").rename(folder / "manifest-crc.txt")
    found = verify(folder)
    assert "bagit.txt: it does not declare" in what(found)
    assert "manifest-crc.txt: its algorithm crc is not supported" in "\n".join(map(str, found.warnings))
    assert "no payload manifest" in what(found)
