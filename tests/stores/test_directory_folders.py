"""The store in a directory: files that are created in an open folder, which is synced once for all of them."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from prefect_collect.errors import KeyExists, StoreError, StoreUnavailable
from prefect_collect.stores import DirectoryStore


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
