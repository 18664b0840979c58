"""MD5 and SHA-1 in the columns of load files are compared with the natives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.packages import verify
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import both, build, contents, resealed

BODIES = {"a.txt": b"one", "b.bin": b"two", "c": b"three"}


@pytest.fixture
def hashed(staging: Any) -> Any:
    """Return a staging store whose items have MD5 and SHA-1."""
    staging.stage(BODIES)
    for row, data in zip(staging.rows, BODIES.values(), strict=True):
        row |= {"md5": hashlib.md5(data).digest(), "sha1": hashlib.sha1(data).digest()}
    return staging


def _md5(name: str) -> bytes:
    return hashlib.md5(BODIES[name]).hexdigest().encode()


def _problems(files: dict[str, bytes], exports: DirectoryStore, kind: str, old: bytes, new: bytes) -> list[str]:
    """Return what is wrong with a package in which a load file says something else, with all other hashes right."""
    name = f"VOL001/VOL001.{kind}"
    assert old in files[name]
    resealed(files | {name: files[name].replace(old, new)}, exports)
    found = verify(Path(exports.locate("forged")))
    return [f"{problem.path}: {problem.what}" for problem in found.problems]


@both
def test_right_hashes_are_valid(hashed: Any, exports: DirectoryStore, format: str) -> None:
    """A package with both kinds of load files, of which each states both hashes, is valid."""
    built = build(hashed, exports, format, tables="both", volume_items=2, hashes=("md5", "sha1"))
    assert verify(Path(exports.locate(built.key))).problems == []
    assert _md5("b.bin") in contents(exports, format)["VOL001/VOL001.csv"]


NATIVE = "NATIVES/0001/DOC00000002.bin"
WRONG = f"VOL001/{NATIVE}: its bytes are not those that load file (MD5) lists"
TOLD_APART = f"VOL001/{NATIVE}: load files state different MD5 of it"
NONE = f"VOL001/{NATIVE}: the DAT of VOL001 states what is no MD5"


@pytest.mark.parametrize(
    ("tables", "kind", "new", "what"),
    [
        ("dat", "dat", _md5("a.txt"), WRONG),
        ("csv", "csv", _md5("a.txt"), WRONG),
        ("both", "csv", _md5("a.txt"), TOLD_APART),
        ("dat", "dat", b"0" * 30, NONE),
        ("dat", "dat", _md5("b.bin").upper(), NONE),
        ("dat", "dat", b"", None),
    ],
)
def test_a_forged_hash_is_found(
    hashed: Any, exports: DirectoryStore, tables: Any, kind: str, new: bytes, what: str | None
) -> None:
    """A hash of other bytes, another one in the CSV than in the DAT, and what is no hash are problems of the native.

    A hash that is not stated is not missed.
    """
    build(hashed, exports, "loadfile-directory", tables=tables)
    files = contents(exports, "loadfile-directory")
    assert _problems(files, exports, kind, _md5("b.bin"), new) == ([] if what is None else [what])


def test_a_hash_after_a_row_without_any_is_found(staging: Any, exports: DirectoryStore) -> None:
    """A load file whose first row has neither hash is not read for them, so no other row may have one."""
    staging.stage(BODIES)
    build(staging, exports, "loadfile-directory", profile="A = control_number\nN = native_path\nM = md5\nI = item_id")
    files = contents(exports, "loadfile-directory")
    found = _problems(files, exports, "dat", "þþ\x14þid-00001".encode(), f"þ{'0' * 32}þ\x14þid-00001".encode())
    assert found == ["VOL001/VOL001.dat: row 2 of the DAT has MD5, but the first row has none"]
