"""The store in a directory: the contract, and the behavior that only file systems have."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreError,
    StoreFull,
    StoreNameTooLong,
    StoreQuotaExceeded,
    StoreTooLarge,
    StoreUnavailable,
)
from prefect_collect.stores import CopyRange, DirectoryStore, _directory_writer
from prefect_collect.stores.os_errors import store_error
from tests.stores.contract import StoreContract
from tests.stores.patterned import MIB, patterned


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """A second store."""
    return DirectoryStore(tmp_path / "other")


class TestDirectoryStore(StoreContract):
    """The contract on a file system with unnamed files (tmpfs, ext4, XFS, Btrfs, …)."""

    many = 100

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """A folder on the disk: those of other tests may be in memory."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)

    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        """A store in a directory that does not exist yet."""
        return DirectoryStore(tmp_path / "not" / "yet")


class TestWithoutUnnamedFiles(StoreContract):
    """The contract on a file system without unnamed files (NFS, overlayfs, …): unfinished files are in ``.tmp``."""

    many = 100

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryStore:
        """A store for which the kernel answers O_TMPFILE as on such a file system."""
        real = os.open

        def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", refusing)
        return DirectoryStore(tmp_path / "not" / "yet")


class TestWithoutHardLinks(TestWithoutUnnamedFiles):
    """The contract on a file system that has no hard links either (FAT, exFAT, some shares), with renameat2."""

    @pytest.fixture(autouse=True)
    def no_links(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """link() answers as on FAT."""

        def refusing(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refusing)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store in an existing directory."""
    (tmp_path / "store").mkdir()
    return DirectoryStore(tmp_path / "store")


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    """Opening a store, reading and listing create no directory."""
    store = DirectoryStore(tmp_path / "a" / "b")
    assert list(store.list()) == []
    assert list(store.folders()) == []
    assert store.delete("job/") == 0
    with pytest.raises(KeyMissing):
        store.read("x")
    assert not (tmp_path / "a").exists()


def test_root_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root is resolved when the store is opened."""
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("here")
    monkeypatch.chdir("/")
    store.create("k", b"x")
    assert (tmp_path / "here" / "k").read_bytes() == b"x"
    assert store.url == str(tmp_path / "here")


def test_links_to_folders_are_not_followed(store: DirectoryStore, tmp_path: Path) -> None:
    """A symbolic link below the root is not followed by writing, deleting, reading or listing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    (store.root / "job").symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        store.create("job/x", b"")
    writer = store.writer("job/y", replace=True)
    with pytest.raises(StoreError, match="symbolic link"):
        writer.commit()
    writer.abort()
    with pytest.raises(StoreError):
        store.read("job/precious")
    with pytest.raises(StoreError):
        store.delete("job/")
    assert list(store.list()) == []
    assert list(store.list("job/")) == []
    assert [path.name for path in outside.iterdir()] == ["precious"]


def test_delete_removes_links_not_what_they_point_to(store: DirectoryStore, tmp_path: Path) -> None:
    """Links inside a deleted folder are deleted; their targets outside stay."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    store.create("job/a/b", b"")
    (store.root / "job" / "a" / "folder").symlink_to(outside)
    (store.root / "job" / "file").symlink_to(outside / "precious")
    assert store.delete("job/") == 1
    assert not (store.root / "job").exists()
    assert (outside / "precious").read_bytes() == b"precious"


def test_remove_leaves_links_alone(store: DirectoryStore, tmp_path: Path) -> None:
    """A link in place of a blob, or of a folder above it, is not followed, and its target stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    store.create("job/a", b"")
    (store.root / "job" / "folder").symlink_to(outside)
    (store.root / "job" / "file").symlink_to(outside / "precious")
    store.remove(["job/file", "job/folder/precious"])
    assert (outside / "precious").read_bytes() == b"precious"
    assert [blob.key for blob in store.list("job/")] == ["job/a"]


def test_a_link_in_the_place_of_a_blob_is_not_written_through(store: DirectoryStore, tmp_path: Path) -> None:
    """A link in place of a blob is not overwritten; with `replace` the link itself is replaced."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (store.root / "k").symlink_to(target)
    with pytest.raises(KeyExists):
        store.create("k", b"new")
    with pytest.raises(StoreError):
        store.read("k")
    writer = store.writer("k", replace=True)
    writer.write(b"new")
    writer.commit()
    assert target.read_bytes() == b"precious"
    assert store.read("k") == b"new"


def test_pipes_do_not_hang(store: DirectoryStore) -> None:
    """A named pipe in the store is not a blob, and blocks no reader."""
    os.mkfifo(store.root / "pipe")
    with pytest.raises(KeyMissing):
        store.read("pipe")
    assert list(store.list()) == []


def test_a_file_in_the_place_of_a_folder(store: DirectoryStore) -> None:
    """If a part of the path is a file, the message says so."""
    store.create("job", b"")
    with pytest.raises(StoreError, match="is a file"):
        store.create("job/a", b"")


def test_too_long_names(store: DirectoryStore) -> None:
    """A name that is too long for the file system raises StoreNameTooLong."""
    with pytest.raises(StoreNameTooLong, match="longer"):
        store.create("x" * 256, b"")


def test_names_that_are_not_utf8(store: DirectoryStore) -> None:
    """Names with any bytes are stored and listed."""
    key = os.fsdecode(b"f/\xff\xfe")
    store.create(key, b"x")
    assert [blob.key for blob in store.list()] == [key]
    assert store.read(key) == b"x"


def test_killed_writers_leave_nothing(store: DirectoryStore) -> None:
    """kill -9 while a blob is written leaves no file."""
    code = (
        "import sys, time; from prefect_collect.stores import DirectoryStore\n"
        "w = DirectoryStore(sys.argv[1]).writer('job/k'); w.write(b'x' * (5 << 20)); print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, store.url], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert list(store.root.rglob("*")) == []


def test_one_of_racing_processes_wins(store: DirectoryStore) -> None:
    """Of processes that create the same 200 keys, exactly one succeeds for each key."""
    code = (
        "import sys; from prefect_collect.stores import DirectoryStore; from prefect_collect.errors import KeyExists\n"
        "store, won = DirectoryStore(sys.argv[1]), 0\n"
        "for number in range(200):\n"
        "    try: store.create(f'claims/{number}', b'x'); won += 1\n"
        "    except KeyExists: pass\n"
        "print(won)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, store.url], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert sum(int(child.communicate()[0]) for child in children) == 200


def test_file_size_limit(store: DirectoryStore) -> None:
    """A file beyond the process's size limit raises StoreTooLarge, not StoreFull, and is discarded."""
    code = (
        "import sys, resource, signal; from prefect_collect.stores import DirectoryStore\n"
        "from prefect_collect.errors import StoreTooLarge\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: DirectoryStore(sys.argv[1]).create('k', b'x' * (2 << 20))\n"
        "except StoreTooLarge as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, store.url], capture_output=True, text=True, check=True).stdout
    assert said.endswith(f"[{store.locate('k')}]\n")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1 << 20
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, StoreFull, "disk_full"),
        (errno.EDQUOT, StoreQuotaExceeded, "quota_exceeded"),
        (errno.EFBIG, StoreTooLarge, "too_large"),
        (errno.ENAMETOOLONG, StoreNameTooLong, "name_too_long"),
    ],
)
def test_capacity_has_its_codes(number: int, kind: type[StoreError], code: str) -> None:
    """A full disk, a quota, a size limit and a long name have codes of their own; a quota is also a StoreFull."""
    error = store_error(OSError(number, os.strerror(number)), "/x")
    assert (type(error), error.code) == (kind, code)
    assert issubclass(StoreQuotaExceeded, StoreFull)


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


def test_many_files_in_an_open_folder(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is synced before it has its name, and each folder once after its files, also the last at the end."""
    synced: list[str] = []
    real, links = os.fsync, os.link

    def noting(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(store.root)))
        real(fd)

    def naming(*args: Any, **options: Any) -> None:
        synced.append(f"link {args[1]}")
        links(*args, **options)

    for made in ("a", "b"):
        (store.root / made).mkdir()
    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "link", naming)
    with store.open_folder() as into:
        for key in ("a/1", "a/2", "b/1"):
            store.create(key, key.encode(), into)
    events = ["file" if "deleted" in event else event for event in synced]
    assert events == ["file", "link 1", "file", "link 2", "file", "/a", "link 1", "/b"]
    assert [(blob.key, store.read(blob.key)) for blob in store.list()] == [
        (key, key.encode()) for key in ("a/1", "a/2", "b/1")
    ]


def test_a_name_that_is_taken_in_an_open_folder(store: DirectoryStore) -> None:
    """A name that is taken, and a folder that is a link, are refused as ever; files that follow are written."""
    with store.open_folder() as into:
        store.create("a/2", b"2", into)
        with pytest.raises(KeyExists):
            store.create("a/2", b"3", into)
        (store.root / "b").symlink_to(store.root / "a")
        with pytest.raises(StoreError, match="symbolic link"):
            store.create("b/1", b"4", into)
        store.create("a/3", b"5", into)
    assert [(blob.key, store.read(blob.key)) for blob in store.list()] == [("a/2", b"2"), ("a/3", b"5")]


@pytest.mark.parametrize("instead", ["nothing", "a link", "another folder", "a file"])
def test_an_open_folder_that_is_moved_or_replaced(store: DirectoryStore, instead: str) -> None:
    """Files whose folder was moved are elsewhere, so leaving it fails, also for the next folder; that is written."""
    into, moved, folder = store.open_folder(), store.root / "moved", store.root / "f/a"
    for key in ("f/a/1", "f/a/2"):
        store.create(key, b"1", into)
        if key == "f/a/1":
            folder.rename(moved)
            if instead == "a link":
                folder.symlink_to(moved)
            elif instead == "another folder":
                folder.mkdir()
            elif instead == "a file":
                folder.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match=r"moved or replaced .*/f/a\]"):
        store.create("b/1", b"2", into)
    store.create("b/1", b"3", into)
    store.delete("b/")
    with pytest.raises(StoreUnavailable, match=r"moved or replaced .*/b\]"), into:
        pass
    assert sorted(path.name for path in moved.iterdir()) == ["1", "2"]


def test_an_open_folder_that_is_removed(store: DirectoryStore) -> None:
    """The files of a folder that was removed are lost, which the next file of that folder says; then it is made."""
    with store.open_folder() as into:
        store.create("a/1", b"1", into)
        store.delete("a/")
        with pytest.raises(StoreUnavailable, match=r"moved or replaced .*/a\]"):
            store.create("a/2", b"2", into)
        store.create("a/2", b"3", into)
    assert [(blob.key, store.read(blob.key)) for blob in store.list()] == [("a/2", b"3")]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """It is an error of the store, not of the file that is created next, whose own error is exactly StoreError."""
    real = os.fsync

    def failing(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(number, os.strerror(number))
        real(fd)

    for made in ("a", "b"):
        (store.root / made).mkdir()
    monkeypatch.setattr(os, "fsync", failing)
    into = store.open_folder()
    store.create("a/1", b"1", into)
    with pytest.raises(StoreUnavailable, match="/a]"):
        store.create("b/1", b"2", into)
    store.create("b/2", b"3", into)
    with pytest.raises(StoreUnavailable, match="/b]"), into:
        pass


def test_readers_never_see_half_a_blob(store: DirectoryStore) -> None:
    """While a blob is replaced again and again, a reader always sees one whole version."""
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(store.read("k"))

    store.create("k", b"0" * 100_000)
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 50):
        writer = store.writer("k", replace=True)
        writer.write(b"%d" % (number % 10) * 100_000)
        writer.commit()
    stop.set()
    reader.join()
    assert all(len(data) == 100_000 and len(set(data)) == 1 for data in seen)
    assert [path.name for path in store.root.iterdir()] == ["k"]
