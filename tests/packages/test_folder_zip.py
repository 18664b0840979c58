"""A package's folder as the bytes of one ZIP file, from any byte on."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.errors import PackageError
from prefect_collect.packages import FolderZip, verify
from prefect_collect.packages import _folder_zip as module
from prefect_collect.stores import DirectoryStore
from tests.examples import examples
from tests.packages.conftest import Staging

ITEMS = {"a.txt": b"a", "b/empty": b"", "b/ü – name.bin": bytes(range(256)) * 40, "large": b"x" * 70_000}


@pytest.fixture
def folder(staging: Staging, exports: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> FolderZip:
    """A package of small items and of one that is read in several steps."""
    monkeypatch.setattr(module, "_STEP", 20_000)
    staging.stage(ITEMS)
    staging.directory(exports, staging.base, sha512=True)
    return FolderZip(exports, staging.base)


def test_it_is_the_package(folder: FolderZip, staging: Staging, exports: DirectoryStore, tmp_path: Path) -> None:
    """The ZIP file is valid as the package, has the folder's fingerprint and files, and the stated size."""
    saved = tmp_path / "saved.zip"
    saved.write_bytes(b"".join(folder.chunks()))
    assert saved.stat().st_size == folder.size
    checked, unpacked = verify(saved), verify(exports.locate(staging.base))
    assert checked.valid, checked.problems
    assert (checked.fingerprint, checked.items) == (unpacked.fingerprint, len(ITEMS))
    with zipfile.ZipFile(saved) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(f"docs/data/{name}") for name in ITEMS} == ITEMS


@settings(max_examples=examples(60))
@given(data=st.data())
def test_any_range(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any range, also one that is asked for first, has the bytes that the whole file has there."""
    store = DirectoryStore(tmp_path_factory.mktemp("ranges"))
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 7, 39, 40, 41, 95]), min_size=1, max_size=5))
    for number, size in enumerate(sizes):
        store.create(f"base/data/{number}", bytes([number]) * size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STEP", 40)
        whole = b"".join(FolderZip(store, "base").chunks())
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, len(whole) + 3))
        fresh = FolderZip(store, "base")
        assert b"".join(fresh.chunks(start, end)) == whole[start:end]
        assert b"".join(fresh.chunks(end)) == whole[end:]
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert opened.testzip() is None
        assert len(opened.namelist()) == len(sizes)


def test_sizes_that_need_zip64(tmp_path: Path) -> None:
    """A file above 4 GiB, and what comes after it, are read by Python's zipfile; nothing is copied to a disk."""
    store = DirectoryStore(tmp_path)
    store.create("base/data/z", b"after")
    with open(tmp_path / "base/data/a", "wb") as sparse:
        sparse.truncate((4 << 30) + 5)
    folder = FolderZip(store, "base")
    folder._crcs[0] = 0  # it is not read to its end here
    tail = b"".join(folder.chunks((4 << 30) + 5))
    head = b"".join(folder.chunks(0, 100))

    class Sparse(io.RawIOBase):
        """The file, of which the middle is never asked for."""

        at = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset + {0: 0, 1: self.at, 2: folder.size}[whence]
            return self.at

        def tell(self) -> int:
            return self.at

        def read(self, size: int = -1) -> bytes:
            size = folder.size - self.at if size < 0 else size
            start = self.at - ((4 << 30) + 5)
            part = head[self.at : self.at + size] if start < 0 else tail[start : start + size]
            self.at += len(part)
            return part

    with zipfile.ZipFile(Sparse()) as opened:
        assert [one.file_size for one in opened.infolist()] == [(4 << 30) + 5, 5]
        assert opened.read("base/data/z") == b"after"


def test_a_package_without_items(staging: Staging, exports: DirectoryStore, tmp_path: Path) -> None:
    """The empty folder of the payload is in the ZIP file, as a bag must have it."""
    staging.directory(exports, staging.base)
    saved = tmp_path / "saved.zip"
    folder = FolderZip(exports, staging.base)
    saved.write_bytes(b"".join(folder.chunks()))
    assert saved.stat().st_size == folder.size
    assert verify(saved).valid


@pytest.mark.parametrize("change", ["more", "less", "longer", "shorter"])
def test_a_folder_that_changes(folder: FolderZip, staging: Staging, exports: DirectoryStore, change: str) -> None:
    """What was listed is sent, or nothing more is: a changed folder ends the ZIP file with an error."""
    place = Path(exports.locate(staging.base)) / "data"
    if change == "more":
        (place / "zz").write_bytes(b"more")
    elif change == "less":
        (place / "a.txt").unlink()
    else:
        (place / "large").write_bytes(b"x" * (80_000 if change == "longer" else 10))
    with pytest.raises(PackageError, match="changed"):
        list(folder.chunks())
    assert FolderZip(exports, staging.base).etag != folder.etag


def test_a_folder_that_is_gone(exports: DirectoryStore) -> None:
    """A package that is not there has no ZIP file."""
    with pytest.raises(PackageError, match="no longer"):
        FolderZip(exports, "docs")
