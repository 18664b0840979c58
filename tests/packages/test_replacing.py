"""An attempt replaces what its own job built under its package's name, and nothing else."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.errors import PackageExists
from prefect_collect.packages import Built, Owner, PackagePlace, build_directory, build_zip, verify
from prefect_collect.stores import Buffer, DirectoryStore, Store
from tests.examples import STEP

ITEMS = {"a.txt": b"alpha", "sub/b": b"beta" * 999, "c": b""}
ME, OTHER = Owner("my-job"), Owner("another-job")
MARKER = "out/.prefect-collect-my-job/unfinished.txt"
Build = Callable[..., Built]


class Killed(BaseException):
    """The process is dead."""


class Mortal(DirectoryStore):
    """A directory whose writer dies after so many new blobs."""

    def __init__(self, root: Path, lives: int) -> None:
        super().__init__(root)
        self.lives = lives

    def create(self, key: str, data: Buffer, into: Any = None) -> Any:
        """Write, or die."""
        self._live()
        return super().create(key, data, into)

    def writer(self, key: str, *, replace: bool = False) -> Any:
        """Write, or die."""
        self._live()
        return super().writer(key, replace=replace)

    def delete(self, prefix: str) -> int:
        """Delete, or die."""
        self._live()
        return super().delete(prefix)

    def _live(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed


def build(staging: Any, how: Build, destination: Store, owner: Owner | None = ME, *, replace: bool = True) -> Built:
    """Check and build."""
    return how(staging.input(staging.check()), PackagePlace(destination, "out", owner, replace))


def delivered(built: Built) -> Owner:
    """Return the owner in a later attempt, which knows that this package was delivered."""
    return Owner(ME.job_id, frozenset({built.fingerprint}))


def tree(store: DirectoryStore) -> dict[str, bytes]:
    """Return all files of the store."""
    return {blob.key: store.read(blob.key) for blob in store.list()}


both = pytest.mark.parametrize("how", [build_zip, build_directory])


@both
def test_a_package_that_the_job_delivered_is_replaced(
    how: Build, staging: Any, exports: DirectoryStore, tmp_path: Path
) -> None:
    """The earlier package is removed, and the new one is the same as in an empty place."""
    staging.stage(ITEMS)
    first = build(staging, how, exports)
    staging.stage({"d": b"delta"})
    second = build(staging, how, exports, delivered(first))
    assert (second.items, verify(exports.locate("out")).problems) == (4, [])
    build(staging, how, clean := DirectoryStore(tmp_path / "clean"), None)
    assert tree(exports) == tree(clean)


@both
@pytest.mark.parametrize("owner", [None, ME, OTHER])
def test_a_package_that_the_job_did_not_deliver_stays(
    how: Build, owner: Owner | None, staging: Any, exports: DirectoryStore
) -> None:
    """Another export's package is refused, even if its items are almost the same."""
    staging.stage(ITEMS)
    build(staging, how, exports, Owner("third-job"))
    before = tree(exports)
    staging.stage({"d": b"delta"})
    with pytest.raises(PackageExists, match=r".*\[.*out\]"):
        build(staging, how, exports, owner)
    assert tree(exports) == before


@both
def test_the_very_package_is_kept(how: Build, staging: Any, exports: DirectoryStore) -> None:
    """A package that an attempt left without a result is not written again, and described as when it was built."""
    staging.stage(ITEMS)
    staging.lose("x")
    first = build(staging, how, exports)
    inode = os.stat(exports.locate(first.blob.key)).st_ino
    assert build(staging, how, exports) == first
    assert os.stat(exports.locate(first.blob.key)).st_ino == inode


@both
def test_a_first_attempt_takes_nothing_over(how: Build, staging: Any, exports: DirectoryStore) -> None:
    """Without `replace`, even an identical package is refused."""
    staging.stage(ITEMS)
    build(staging, how, exports)
    before = tree(exports)
    with pytest.raises(PackageExists):
        build(staging, how, exports, replace=False)
    assert tree(exports) == before


def test_a_users_file_in_a_delivered_folder(staging: Any, exports: DirectoryStore) -> None:
    """The file is named, and nothing in the folder is changed, wherever the file is and whatever it is."""
    staging.stage(ITEMS)
    owner = delivered(build(staging, build_directory, exports))
    for name in ("notes.txt", "data/sub/mine", ".prefect-collect-another-job/unfinished.txt"):
        mine = Path(exports.locate(f"out/{name}"))
        exports.create(f"out/{name}", b"mine")
        before = tree(exports)
        for known in (owner, ME):
            with pytest.raises(PackageExists):
                build(staging, build_directory, exports, known)
        assert tree(exports) == before
        mine.unlink()
    link = Path(exports.locate("out/data/link"))
    link.symlink_to("/etc/hostname")
    with pytest.raises(PackageExists, match="data/link"):
        build(staging, build_directory, exports, owner)
    assert link.is_symlink()


def test_a_zip_file_that_a_user_added_to(staging: Any, exports: DirectoryStore) -> None:
    """Its fingerprint is that of our package, but it is no longer that package."""
    staging.stage(ITEMS)
    owner = delivered(build(staging, build_zip, exports))
    with zipfile.ZipFile(exports.locate("out"), "a") as file:
        file.writestr("docs/notes.txt", "mine")
    before = tree(exports)
    for known in (owner, ME):
        with pytest.raises(PackageExists):
            build(staging, build_zip, exports, known)
    assert tree(exports) == before


@both
@pytest.mark.parametrize("data", [b"", b"mine", b"PK\x05\x06" + bytes(18)])
def test_something_that_is_no_package(how: Build, data: bytes, staging: Any, exports: DirectoryStore) -> None:
    """It is kept."""
    staging.stage(ITEMS)
    exports.create("out" if how is build_zip else "out/data/a.txt", data)
    before = tree(exports)
    with pytest.raises(PackageExists):
        build(staging, how, exports)
    assert tree(exports) == before


@pytest.mark.parametrize("replacing", [False, True])
def test_dying_anywhere_in_a_folder(replacing: bool, staging: Any, tmp_path: Path) -> None:
    """The next attempt ends with the same files, both in an empty place and over a delivered package."""
    staging.stage(ITEMS)
    build(staging, build_directory, clean := DirectoryStore(tmp_path / "clean"), None)
    deaths, marked = 0, 0
    for lives in range(0, 100, STEP):
        store = Mortal(tmp_path / str(lives), 1000)
        owner = ME
        if replacing:
            row = staging.rows.pop()
            owner = delivered(build(staging, build_directory, store))
            staging.rows.append(row)
        store.lives = lives
        try:
            build(staging, build_directory, store, owner)
        except Killed:
            deaths += 1
        else:
            break
        store.lives = 1000
        marked += (left := MARKER in tree(store))
        if left:
            before = tree(store)
            with pytest.raises(PackageExists):
                build(staging, build_directory, store, OTHER)
            store.create("out/notes", b"mine")
            with pytest.raises(PackageExists, match="notes"):
                build(staging, build_directory, store, owner)
            assert tree(store) == before | {"out/notes": b"mine"}
            Path(store.locate("out/notes")).unlink()
        build(staging, build_directory, store, owner)
        assert tree(store) == tree(clean), lives
    assert marked >= deaths - 1
    assert STEP * deaths > 9


def test_two_exports_at_the_same_moment(staging: Any, tmp_path: Path) -> None:
    """An export that sees another's marker beside its own stops, and leaves nothing."""

    class Raced(DirectoryStore):
        def create(self, key: str, data: Buffer, into: Any = None) -> Any:
            if key == MARKER:
                super().create(key.replace("my", "another"), b"")
            return super().create(key, data, into)

    staging.stage(ITEMS)
    store = Raced(tmp_path / "out")
    with pytest.raises(PackageExists):
        build(staging, build_directory, store, replace=False)
    assert list(tree(store)) == ["out/.prefect-collect-another-job/unfinished.txt"]


def test_a_zip_file_put_there_while_it_is_replaced(staging: Any, exports: DirectoryStore) -> None:
    """A file that takes the old package's place while the new one is composed is not overwritten."""
    staging.stage(ITEMS)
    owner = delivered(build(staging, build_zip, exports))

    class Raced(DirectoryStore):
        def compose(self, *args: Any, **how: Any) -> Any:
            Path(self.locate("out")).write_bytes(b"mine")
            return super().compose(*args, **how)

    staging.lose("y")
    with pytest.raises(PackageExists):
        build(staging, build_zip, Raced(exports.root), owner)
    assert tree(exports) == {"out": b"mine"}
