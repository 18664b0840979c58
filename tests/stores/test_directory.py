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

import pytest

from prefect_collect.errors import (
    KeyExists,
    KeyMissing,
    StoreError,
    StoreFull,
    StoreNameTooLong,
    StoreQuotaExceeded,
    StoreTooLarge,
)
from prefect_collect.stores import DirectoryStore
from prefect_collect.stores.os_errors import store_error
from tests.stores.contract import StoreContract
from tests.stores.patterned import MIB

# A directory has no parts of uploads: more than the mebibyte that a writer gathers is large.
_UNIT, _LARGE = MIB // 8, 5 * MIB


class TestDirectoryStore(StoreContract):
    """The contract on a file system with unnamed files (tmpfs, ext4, XFS, Btrfs, …)."""

    many = 100
    unit, large = _UNIT, _LARGE

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
    unit, large = _UNIT, _LARGE

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
