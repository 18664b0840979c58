"""Links, special files, and ids that lead out of a directory tree: none of them is followed unasked."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of, proven, relisted
from tests.blocks.listed_files import code_of, listed, read


def test_special_files_are_skipped(tmp_path: Path) -> None:
    """Sockets, pipes and devices are skipped with a reason; opening one does not hang."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        items = listed(tmp_path)
        for name in ("pipe", "sock"):
            skipped = items[name].skipped
            assert skipped is not None
            assert skipped.code == "special_file"
            assert skipped.message.endswith(f"[{tmp_path / name}]")
        assert "named pipe" in str(items["pipe"].skipped)
        source = FileSource(root=tmp_path)
        with pytest.raises(SourceError) as caught:
            read(source, Item("pipe", "pipe"))
        assert caught.value.code == "changed_during_read"


def test_links_are_skipped(tmp_path: Path) -> None:
    """By default links are not followed, whether to files, folders or missing targets."""
    (tmp_path / "file").write_bytes(b"x")
    for name, target in (("to-file", "file"), ("to-folder", "."), ("broken", "none")):
        (tmp_path / name).symlink_to(target)
    items = listed(tmp_path)
    assert {path for path, item in items.items() if item.skipped and item.skipped.code == "symlink"} == {
        "to-file",
        "to-folder",
        "broken",
    }


def test_links_are_followed_inside(tmp_path: Path) -> None:
    """Followed links give their targets; loops end, broken links fail, and links out of the root are `path_unsafe`."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "file").write_bytes(b"x")
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    links = {
        "l-file": "dir/file",
        "l-dir": "dir",
        "dir/up": "..",
        "self": "self",
        "broken": "none",
        "out": "../outside",
        "out-dir": "/",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    items = listed(root, follow_symlinks=True)
    source = FileSource(root=root, follow_symlinks=True)
    for path in ("l-file", "l-dir/file", "dir/file"):
        assert items[path].size == 1
        assert read(source, items[path]) == b"x"
    for path, code in (("dir/up", "symlink"), ("self", "symlink")):
        assert code_of(items[path].skipped) == code
    for path, code in (("broken", "not_found"), ("out", "path_unsafe"), ("out-dir", "path_unsafe")):
        assert code_of(items[path].failure) == code
    with pytest.raises(SourceError) as caught:
        read(source, Item("out", "out"))
    assert caught.value.code == "path_unsafe"


@pytest.mark.parametrize("follow_symlinks", [True, False])
def test_link_put_in_the_way(tmp_path: Path, follow_symlinks: bool) -> None:
    """A file or folder that was replaced by a link after the listing does not lead out of the root."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "a").write_bytes(b"a")
    (root / "b").write_bytes(b"b")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"secret")
    source = FileSource(root=root, follow_symlinks=follow_symlinks)
    items = list(items_of(source))
    (root / "dir" / "a").unlink()
    (root / "dir").rmdir()
    (root / "dir").symlink_to(outside)
    (root / "b").unlink()
    (root / "b").symlink_to(outside / "a")
    for item, got in source.read_many(items, 1):
        assert isinstance(got, SourceError)
        assert got.code in ("path_unsafe", "changed_during_read"), item


@pytest.mark.parametrize("item_id", ["../secret", "/etc/passwd", "a/../../x", "bytes:%2E%2E/x"])
def test_ids_that_lead_out(tmp_path: Path, item_id: str) -> None:
    """An id that would lead out of the root is refused."""
    source = FileSource(root=tmp_path)
    for attempt in (lambda: read(source, Item(item_id, "x")), lambda: list(source.relist(Item(item_id, "x")))):
        with pytest.raises(SourceError) as caught:
            attempt()
        assert caught.value.code == "path_unsafe"


def test_relist_of_a_folder(tmp_path: Path) -> None:
    """Relisting a failed folder yields its present items; an empty one is skipped; a deleted one yields nothing."""
    (tmp_path / "dir").mkdir()
    source = FileSource(root=tmp_path)
    folder = Item("dir/", "dir/")
    (empty,) = relisted(source, folder)
    assert (empty.id, empty.path, code_of(empty.skipped)) == ("dir/", "dir/", "empty_folder")
    (tmp_path / "dir" / "a").write_bytes(b"a")
    (tmp_path / "dir" / "sub").mkdir()
    (tmp_path / "dir" / "sub" / "b").write_bytes(b"b")
    found = [(item.path, item.expands) for item in relisted(source, folder)]
    assert found == [("dir/a", "dir/"), ("dir/sub/b", "dir/")]
    assert list(source.relist(Item("none/", "none/"))) == []


def test_a_root_that_is_replaced_while_it_is_listed(tmp_path: Path) -> None:
    """If another folder takes the root's place, as when a disk is unmounted, the listing is not proven complete."""
    root = tmp_path / "root"
    for n in range(3):
        (root / f"{n}").mkdir(parents=True)
        (root / f"{n}" / "a").write_bytes(b"a")
    listing = proven(FileSource(root=root))
    assert getattr(next(listing), "id", None) == "0/a"
    root.rename(tmp_path / "gone")
    root.mkdir()
    with pytest.raises(SourceError, match="took the place of this one") as caught:
        list(listing)
    assert caught.value.code == "enumeration_failed"


def test_a_loop_at_a_retry(tmp_path: Path) -> None:
    """A link that has come to lead to a folder it lies in is skipped at a retry, in a folder too, as in a listing."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "sub" / "deep" / "b.txt").write_bytes(b"b")
    for path, target in (("sub/up", ".."), ("sub/deep/here", "."), ("sub/deep/top", tmp_path), ("other", "sub/deep")):
        (tmp_path / path).symlink_to(target)
    source = FileSource(root=tmp_path, follow_symlinks=True)
    fresh = {item.id: item.skipped for item in items_of(source) if item.skipped}
    assert fresh.keys() == {"sub/up", "sub/deep/here", "sub/deep/top", "other/here", "other/top"}
    for path, skipped in fresh.items():
        assert [(one.id, one.skipped) for one in relisted(source, Item(path, path))] == [(path, skipped)]
    inside = {one.id: one.skipped for one in relisted(source, Item("sub/", "sub/"))}
    below = ("sub/up", "sub/deep/here", "sub/deep/top")
    assert inside == {"sub/deep/b.txt": None, **{path: fresh[path] for path in below}}
