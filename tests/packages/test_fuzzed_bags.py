"""Whatever others write into a package, the outcome is a verdict or a PackageError."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_collect.errors import PackageError
from prefect_collect.packages import Verification, verify
from prefect_collect.stores import DirectoryStore
from tests.examples import examples
from tests.packages.foreign_bags import PAYLOAD, as_folder, as_zip, bag, declared

RELAXED: Final = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS: Final = st.sampled_from([0, 1, 0x7F, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
WORDS: Final = st.sampled_from(
    ["BagIt-Version: ", "1.0", "0.97", "Tag-File-Character-Encoding: ", "UTF-8", "UTF-7", "utf-16", "hz", "\n", "\r",
     "\t", " ", "  ", ":", "Payload-Oxum: ", "9.2", "data/a.txt", "data/", "../", "/", "\\", "*", "./", "%0A", "%25",
     "%", "\ufeff", "b" * 64, "https://x/y", "-", "\0", "\udc80", "ü", "u\u0308", "Bag-Software-Agent: prefect-collect"]
)  # fmt: skip
TEXTS: Final = st.lists(WORDS | st.text(max_size=5), max_size=25).map("".join)
BYTES: Final = st.one_of(
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    TEXTS.map(lambda text: text.encode("utf-16", "surrogatepass")),
    st.binary(max_size=200),
)
TAGS: Final = [
    "bagit.txt", "bag-info.txt", "package-info.txt", "manifest-sha256.txt", "manifest-shake256.txt", "fetch.txt",
    "tagmanifest-md5.txt",
]  # fmt: skip


def outcome(path: Path) -> Verification | None:
    """Return the verdict; None for a PackageError."""
    try:
        found = verify(path, threads=2)
    except PackageError:
        return None
    assert found.valid == (not found.problems)
    "".join(map(str, [*found.problems, *found.warnings])).encode()
    return found


@RELAXED
@given(
    tags=st.dictionaries(st.sampled_from(TAGS), BYTES, min_size=1, max_size=5),
    encoding=st.sampled_from(["UTF-8", "UTF-7", "UTF-16", "hz", "iso2022_jp", "cp037", "big5", "zlib"]),
    declares=st.booleans(),
)
def test_tag_files_of_any_text(tmp_path: Path, tags: dict[str, bytes], encoding: str, declares: bool) -> None:
    """bagit.txt, bag-info.txt, manifests and fetch.txt may hold anything, in any declared encoding."""
    files = bag() | tags
    if declares:
        files["bagit.txt"] = declared("1.0", encoding)
    assert outcome(as_zip(files, tmp_path / "x.zip")) is not None


@RELAXED
@given(
    lines=st.lists(st.tuples(st.sampled_from(["a" * 64, "b" * 64, "A" * 64]), TEXTS), max_size=6),
    version=st.sampled_from(["0.93", "1.0"]),
)
def test_paths_of_any_text(tmp_path: Path, lines: list[tuple[str, str]], version: str) -> None:
    """A manifest and fetch.txt may list any path; no file outside of the bag is opened, and no such bag is valid."""
    text = "".join(f"{digest} {path}\n" for digest, path in lines).encode("utf-8", "surrogatepass")
    fetch = "".join(f"https://x/y - {path}\n" for _, path in lines).encode("utf-8", "surrogatepass")
    found = outcome(as_zip(bag(version, manifest__sha256_txt=text, fetch_txt=fetch), tmp_path / "x.zip"))
    assert found is not None
    assert not found.valid


@pytest.fixture(params=["ours", "theirs"])
def package(request: Any, staging: Any, exports: DirectoryStore, tmp_path: Path) -> bytes:
    """Return a complete ZIP file, made here or by another tool."""
    if request.param == "ours":
        staging.stage({"a.txt": b"alpha" * 20, "ü": b""})
        staging.zip(exports)
        return Path(exports.locate("out.zip")).read_bytes()
    return as_zip(bag() | {"data/more": b"x" * 500}, tmp_path / "whole.zip").read_bytes()


@RELAXED
@given(data=st.data())
def test_fields_of_a_zip_file_with_any_number(tmp_path: Path, package: bytes, data: st.DataObject) -> None:
    """Numbers in local headers, central records and end records may be anything, also with all bits set."""
    changed = bytearray(package)
    for _ in range(data.draw(st.integers(1, 4))):
        signature = data.draw(st.sampled_from([b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"]))
        places = [at for at in range(len(changed) - 46) if changed.startswith(signature, at)]
        at = (data.draw(st.sampled_from(places)) if places else 0) + data.draw(st.integers(4, 40))
        size = data.draw(st.sampled_from([1, 2, 4]))
        number = data.draw(NUMBERS) & ((1 << 8 * size) - 1)
        changed[at : at + size] = struct.pack("<L", number)[:size]
    (tmp_path / "x.zip").write_bytes(changed[: len(package)])
    assert outcome(tmp_path / "x.zip") is not None


@RELAXED
@given(data=st.data())
def test_pieces_of_a_package_in_any_order(tmp_path: Path, package: bytes, data: st.DataObject) -> None:
    """Pieces may be cut out, doubled or moved, and ZIP64 records inserted before the end."""
    changed = package
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed)))
        end = min(len(changed), start + data.draw(st.integers(0, 300)))
        piece = data.draw(
            st.sampled_from(
                [
                    b"",
                    changed[start:end] * 2,
                    changed[-22:],
                    b"\xff" * 76,
                    b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + b"\xff" * 16,
                ]
            )
        )
        changed = changed[:start] + piece + changed[end:]
    (tmp_path / "x.zip").write_bytes(changed)
    assert outcome(tmp_path / "x.zip") is not None


@settings(RELAXED, max_examples=examples(40))
@given(data=st.data())
def test_item_lists_of_any_bytes(tmp_path: Path, staging: Any, exports: DirectoryStore, data: st.DataObject) -> None:
    """An items.parquet with any bytes changed is a problem of a package made here, and no other error."""
    if not os.path.exists(exports.locate("out")):
        staging.stage({"a.txt": b"alpha"})
        staging.lose("gone.txt")
        staging.directory(exports)
    file = Path(exports.locate("out")) / "items.parquet"
    good = file.read_bytes()
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(changed)
    found = outcome(file.parent)
    file.write_bytes(good)
    assert found is not None
    assert found.valid == (changed == good)


@settings(RELAXED, max_examples=examples(40))
@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), max_size=6, unique=True)
)
def test_a_bag_of_any_names_is_what_it_lists(tmp_path: Path, names: list[str]) -> None:
    """A bag whose manifest lists each file by RFC 8493 is valid, or its names are the problem."""
    payload = {f"data/{name}": b"x" for name in names}
    found = outcome(as_zip(bag("1.0", payload), tmp_path / "x.zip", zipfile.ZIP_STORED))
    assert found is not None
    odd = any(set(name) & set("\\/\0\r\n%\x85\u2028") or name in (".", "..") or name != name.strip() for name in names)
    assert found.valid or odd or not names, found.problems


def test_a_bag_is_a_bag_in_a_folder_too(tmp_path: Path) -> None:
    """The bag that these tests change is valid without changes."""
    assert verify(as_folder(bag(), tmp_path / "bag")).valid
    assert verify(as_folder(bag(), tmp_path / "bag")).items == len(PAYLOAD)
