"""SFTP servers that answer otherwise, hang, or allow little, and files that change while they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import length_hint
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.sftp_sources import failed, source_of
from tests.integration.sftp import SftpServer
from tests.integration.sources.places import patterned, read
from tests.support.run_attempts import attempt, check_account, held, new_job

pytestmark = pytest.mark.integration
DATA, NAME = 103, 104


@pytest.fixture
def faulty(faulty_sftp_server: SftpServer) -> Iterator[SftpServer]:
    """A server of SFTP before which faults are caused, none of which outlives its test."""
    yield faulty_sftp_server
    faulty_sftp_server.fault()


def fill(root: Path, count: int, size: int = 100) -> dict[str, bytes]:
    """Write files in a few folders; return their contents by id."""
    contents = {f"{number % 7}/{number:04d}": patterned(size + number) for number in range(count)}
    for name, data in contents.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return contents


@pytest.mark.parametrize("size", [0, 5, 3_000_001])
def test_a_server_that_states_no_sizes(faulty: SftpServer, root: Path, size: int) -> None:
    """A file is read to the end that the server says, and not taken for an empty one; both ways of reading agree."""
    (root / "a").write_bytes(patterned(size))
    source = source_of(faulty, root)
    [item] = items_of(source)
    faulty.fault({"no_sizes": True})
    again = source_of(faulty, root, connections=2)  # another connection
    assert read(again, item) == patterned(size)
    [(_, content)] = again.read_many([item], 1)
    assert isinstance(content, Content)
    assert b"".join(bytes(chunk) for chunk in content.chunks) == patterned(size)


@pytest.mark.parametrize(
    "fault",
    [
        {"plain": True},
        {"plain": True, "files": 3},
        {"plain": True, "most": 1_000},
        {"most": 1_000},
        {"kind": NAME, "after": 2, "what": "garbage"},
        {"kind": NAME, "after": 2, "what": "twice"},
        {"kind": DATA, "after": 40, "what": "twice"},
        {"kind": DATA, "after": 40, "what": "garbage"},
        {"kind": DATA, "after": 40, "what": "cut"},
    ],
    ids=str,
)
def test_servers_of_other_kinds(faulty: SftpServer, root: Path, tmp_path: Path, fault: dict[str, Any]) -> None:
    """Servers with few handles, short answers, no extensions or wrong answers: all is collected, and as it is."""
    contents = fill(root, 120, 3_000)
    (root / "large").write_bytes(patterned(1_500_000))
    source = source_of(faulty, root)
    faulty.fault(fault)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source, workers=2).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, {**contents, "large": patterned(1_500_000)})
    assert len(held(folder)) == 121
    assert not faulty.faults_left


@pytest.mark.parametrize(("fault", "most"), [({}, 50), ({"plain": True}, 2)], ids=["OpenSSH", "others"])
def test_how_many_files_are_under_way(faulty: SftpServer, root: Path, fault: dict[str, Any], most: int) -> None:
    """A server that answers in order has the next requests before it needs them; others as many as are asked for."""
    contents = fill(root, 50)
    items = [Item(id_, id_, len(data)) for id_, data in contents.items()]
    taken = iter(items)
    faulty.fault(fault)
    reading = source_of(faulty, root).read_many(taken, 2)
    found = [next(reading)]
    assert most - 2 <= len(items) - length_hint(taken) <= most + 2
    found += reading
    assert len(found) == 50
    for item, content in found:
        assert isinstance(content, Content)
        assert b"".join(bytes(chunk) for chunk in content.chunks) == contents[item.id]


def test_a_server_that_allows_one_connection(faulty: SftpServer, root: Path, tmp_path: Path) -> None:
    """The jobs' threads share the one connection that the server allows, and all is collected."""
    contents = fill(root, 60)
    for number in range(3):
        (root / f"large{number}").write_bytes(patterned(2_000_000))
    source = source_of(faulty, root)
    faulty.fault({}, *[{"refuse": True}] * 20)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source, workers=2).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, contents)
    assert len(held(folder)) == 63
    assert faulty.faults_left < 20
    faulty.fault()


def test_a_greeting_before_sftp(faulty: SftpServer, root: Path) -> None:
    """Text of a shell's start-up file is no answer of SFTP, and the message says where it may come from."""
    faulty.fault({"greeting": "Welcome to this server\n"})
    error = failed(source_of(faulty, root))
    assert error.code == "connection_lost"
    assert "Welcome" in str(error)
    assert "start-up file" in str(error)


def test_a_server_that_hangs(faulty: SftpServer, root: Path, tmp_path: Path) -> None:
    """A server that stops answering is given up after `read_timeout`; the items are read over another connection."""
    contents = fill(root, 30)
    faulty.fault({"kind": DATA, "after": 5, "what": "hang"})
    source = source_of(faulty, root, read_timeout=1)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, contents)
    assert len(held(folder)) == 30


def test_a_file_that_is_written_to_while_it_is_read(sftp_server: SftpServer, root: Path) -> None:
    """A file that grows, or is replaced by a shorter one in place, while it is read is `changed_during_read`."""
    path = root / "log"
    for write in (lambda: path.open("ab").write(b"more"), lambda: os.truncate(path, 9_000_000)):
        path.write_bytes(patterned(20_000_000))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        source = source_of(sftp_server, root)
        (item,) = items_of(source)
        with source.open(item) as content:
            chunks = iter(content.chunks)
            next(chunks)
            write()
            for _ in chunks:
                pass
            assert content.finish is not None
            with pytest.raises(SourceError, match="written to") as caught:
                content.finish()
        assert caught.value.code == "changed_during_read"


@pytest.mark.parametrize("what", ["link out", "link in", "folder link", "pipe"])
def test_a_file_that_becomes_something_else(sftp_server: SftpServer, root: Path, tmp_path: Path, what: str) -> None:
    """A file in whose place, or in whose folder's place, something else has come is not read, and nothing else is."""
    (root / "a").mkdir()
    (root / "a" / "file").write_text("right")
    (root / "b").write_text("b")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("wrong")
    times = (1_700_000_000, 1_700_000_000)
    for path in (root / "a" / "file", elsewhere / "file"):
        os.utime(path, times)
    source = source_of(sftp_server, root, read_timeout=3)
    items = {item.id: item for item in items_of(source)}
    (root / "a" / "file").unlink()
    if what == "pipe":
        os.mkfifo(root / "a" / "file")
    elif what == "link out":
        (root / "a" / "file").symlink_to(elsewhere / "file")
    elif what == "link in":
        (root / "a" / "file").symlink_to("../b")
    else:
        (root / "a").rmdir()
        (root / "a").symlink_to(elsewhere)
    with pytest.raises(SourceError) as caught:
        read(source, items["a/file"])
    assert caught.value.code == ("path_unsafe" if what == "folder link" else "changed_during_read")
    for item, got in source.read_many([items["a/file"]], 2):
        assert isinstance(got, SourceError), item
        assert got.code in ("changed_during_read", "path_unsafe", "timeout")
    for _, got in source.read_many([items["b"]], 2):
        assert isinstance(got, Content)
