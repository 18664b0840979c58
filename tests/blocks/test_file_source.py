"""A directory tree as a data source: names, roots, and files that change or cannot be read."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.blocks import FileSource
from prefect_collect.connectors.files.tree import decode_id, encode_id, shown
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.sources import Content, Item, ListingEnd
from prefect_collect.sources.listing import items_of, proven, relisted
from tests.blocks.listed_files import code_of, read


@given(st.binary(min_size=1, max_size=40))
def test_ids_lose_nothing(raw: bytes) -> None:
    """Any bytes are encoded as an id that is valid UTF-8, and decoded to the same bytes."""
    item_id = encode_id(raw)
    item_id.encode()
    shown(raw).encode()
    assert decode_id(item_id) == raw


def test_ids_of_usual_names_are_the_names() -> None:
    """Only names that need it are encoded, and a plain name is never taken for an encoded one."""
    assert encode_id("dir/ä b%41".encode()) == "dir/ä b%41"
    assert encode_id(b"a\xff/b") == "bytes:a%FF/b"
    assert encode_id(b"bytes:x") == "bytes:bytes%3Ax"
    assert shown(b"a\xff b\xc3\xa4") == "a%FF bä"


def test_lists_in_order_with_size_and_time(tmp_path: Path) -> None:
    """Files are listed folder by folder, sorted by bytes, with size and time; empty folders are skipped."""
    for name in ("b/2", "b/1", "a", "c/d/e", "B", "Z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "empty").mkdir()
    os.utime(tmp_path / "a", ns=(0, 1_700_000_000_123_456_789))
    items = list(items_of(FileSource(root=tmp_path)))
    assert [item.path for item in items] == ["B", "Z", "a", "b/1", "b/2", "c/d/e", "empty/"]
    assert (items[-1].id, code_of(items[-1].skipped)) == ("empty/", "empty_folder")
    assert [item.id for item in items] == [item.path for item in items]
    assert items[2].modified == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert items[5].size == 5


def test_odd_names(tmp_path: Path) -> None:
    """Names with newlines, quotes, percent signs, 255 bytes or bytes that are not UTF-8 are listed and read."""
    names = [
        b"new\nline",
        b"per%cent %41",
        b"q\"uote'",
        b"=cmd|'x'!A1",
        b"x" * 255,
        b"\xff\xfe",
        b"bytes:x",
        b" ",
        "日本語".encode(),
        b"back\\slash",
    ]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"%d" % number)
    source = FileSource(root=tmp_path)
    items = list(items_of(source))
    assert sorted(decode_id(item.id) for item in items) == sorted(names)
    for item in items:
        assert read(source, item) == b"%d" % names.index(decode_id(item.id))
    assert {item.path for item in items} >= {"%FF%FE", "bytes:x", "new\nline"}
    got = {item.id: content for item, content in source.read_many(items, 4)}
    assert all(isinstance(content, Content) for content in got.values())


def test_single_file(tmp_path: Path) -> None:
    """The root may be a file, which is then the only item."""
    (tmp_path / "one.txt").write_bytes(b"1")
    source = FileSource(root=tmp_path / "one.txt")
    (item,) = items_of(source)
    assert (item.id, item.path, item.size) == ("one.txt", "one.txt", 1)
    assert read(source, item) == b"1"
    assert source.place(item) == str(tmp_path / "one.txt")
    assert list(source.relist(item)) == [item]


@pytest.mark.parametrize("bad", ["", "s3://bucket", "a\0b", "caf\udce9"])
def test_bad_root(bad: str) -> None:
    """A root that is no path, or that Prefect cannot store, is refused with one line that names the field."""
    with pytest.raises(InvalidLocation, match=r"^root (must be|contains) "):
        FileSource(root=bad)


def test_root_missing(tmp_path: Path) -> None:
    """A missing root raises an error, so that the job fails."""
    source = FileSource(root=tmp_path / "none")
    with pytest.raises(FileNotFoundError) as caught:
        list(items_of(source))
    failure = source.classify(caught.value)
    assert failure is not None
    assert failure.code == "not_found"
    assert failure.message.endswith(f"[{tmp_path / 'none'}]")


def test_root_special(tmp_path: Path) -> None:
    """A pipe is refused as root, and listing it does not hang."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError) as caught:
        list(items_of(FileSource(root=tmp_path / "pipe")))
    assert caught.value.code == "special_file"


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_change_while_reading(tmp_path: Path, size: int) -> None:
    """A file that is written to, grows or shrinks while it is read fails as `changed_during_read`."""
    changes: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(b"y" * size),
        lambda path: os.truncate(path, size - 1),
        lambda path: os.truncate(path, size + 1),
        lambda path: os.utime(path, ns=(1, 1)),
    ]
    for number, change in enumerate(changes):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(0, 0))
        source = FileSource(root=tmp_path)
        with source.open(Item(path.name, path.name)) as content:
            chunks = iter(content.chunks)
            next(chunks)
            change(path)
            list(chunks)
            with pytest.raises(SourceError) as caught:
                content.finish()  # type: ignore[misc]
        assert caught.value.code == "changed_during_read"
        failure = source.classify(caught.value)
        assert failure is not None
        assert failure.message.endswith(f"[{path}]")


def test_large_file_in_pieces(tmp_path: Path) -> None:
    """A sparse file of 5 GB is opened and read in chunks of 1 MiB."""
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(5 << 30)
    source = FileSource(root=tmp_path)
    (item,) = items_of(source)
    assert item.size == 5 << 30
    with source.open(item) as content:
        assert len(next(iter(content.chunks))) == 1 << 20


def test_deleted_after_listing(tmp_path: Path) -> None:
    """A deleted file fails at open as not found, and relisting it yields nothing."""
    (tmp_path / "a").write_bytes(b"a")
    source = FileSource(root=tmp_path)
    (item,) = items_of(source)
    (tmp_path / "a").unlink()
    ((_, got),) = source.read_many([item], 4)
    assert isinstance(got, FileNotFoundError)
    failure = source.classify(got, item)
    assert failure is not None
    assert (failure.code, failure.message.endswith(f"[{tmp_path / 'a'}]")) == ("not_found", True)
    assert list(source.relist(item)) == []


def _as_nobody(root: str, results: multiprocessing.queues.Queue[object]) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    source = FileSource(root=root)
    items = list(items_of(source))
    found: list[object] = [(item.path, item.failure and item.failure.code) for item in items]
    for item, got in source.read_many([item for item in items if item.failure is None], 2):
        failure = source.classify(got, item) if isinstance(got, Exception) else None
        found.append((item.path, "read", failure and failure.code))
    found.append([i.failure and i.failure.code for i in relisted(source, Item("closed/", "closed/"))])
    closed = FileSource(root=os.path.join(root, "closed"))
    try:
        list(items_of(closed))
    except OSError as error:
        found.append(code_of(closed.classify(error)))
    results.put(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_unreadable(tmp_path: Path) -> None:
    """An unreadable folder or file is a failed item among the others; an unreadable root raises an error."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | 0o011)
    root = tmp_path / "root"
    (root / "closed").mkdir(parents=True)
    (root / "closed" / "x").write_bytes(b"x")
    (root / "open").write_bytes(b"o")
    (root / "secret").write_bytes(b"s")
    root.chmod(0o755)
    (root / "closed").chmod(0o700)
    (root / "secret").chmod(0o600)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_as_nobody, args=(str(root), results))
    child.start()
    found = results.get(timeout=60)
    child.join()
    assert found == [
        ("closed/", "access_denied"),
        ("open", None),
        ("secret", None),
        ("open", "read", None),
        ("secret", "read", "access_denied"),
        ["access_denied"],
        "access_denied",
    ]


def test_slow_files_are_read_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow files, as on a network share, are read in threads; every item is still yielded once."""
    monkeypatch.setattr("prefect_collect.blocks.file_source._SLOW", 0.0)
    for number in range(200):
        (tmp_path / f"{number:03}").write_bytes(b"%d" % number)
    source = FileSource(root=tmp_path)
    got = {item.id: got for item, got in source.read_many(items_of(source), 4)}
    assert len(got) == 200
    for name, content in got.items():
        assert isinstance(content, Content)
        assert b"".join(content.chunks) == b"%d" % int(name)


def test_errors_of_the_file_system(tmp_path: Path) -> None:
    """An input/output error has its own code."""
    failure = FileSource(root=tmp_path).classify(OSError(errno.EIO, "Input/output error"), Item("a", "a"))
    assert failure is not None
    assert failure.code == "read_error"


def test_is_a_stream(tmp_path: Path) -> None:
    """The listing yields the first items before it has read the last folders."""
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a").write_bytes(b"a")
    items: Iterator[Item] = items_of(FileSource(root=tmp_path))
    assert next(items).path == "0/a"
    (tmp_path / "1" / "b").write_bytes(b"b")
    assert [item.path for item in items] == ["1/a", "1/b", "2/a"]


def test_a_small_file_that_has_grown_is_not_read_whole(tmp_path: Path) -> None:
    """A file that was listed as small is not read into memory if it has become large."""
    (tmp_path / "log").write_bytes(b"small")
    source = FileSource(root=tmp_path)
    (item,) = items_of(source)
    with (tmp_path / "log").open("r+b") as file:
        file.truncate(64 << 20)
    ((_, read),) = source.read_many([item], 4)
    assert isinstance(read, SourceError)
    assert read.code == "changed_during_read"


def test_the_proof_of_a_folder(tmp_path: Path) -> None:
    """The proof states the number of folders read to the end; a single file is its own proof."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "c").write_bytes(b"c")
    *_, end = proven(FileSource(root=tmp_path))
    assert end == ListingEnd("the system read 3 folders to the end")
    *_, end = proven(FileSource(root=tmp_path / "a" / "c"))
    assert end == ListingEnd("the source is one file, and it is there", items=1)
