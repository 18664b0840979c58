"""Folders over OpenSSH's SFTP server and another one: what the contract of all sources does not hold."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from prefect_collect.blocks import SftpSource
from prefect_collect.connectors.sftp import _pool as pool_module
from prefect_collect.sources import Content, Item, depth
from prefect_collect.sources.listing import items_of, relisted
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.sftp_sources import codes, failed, source_of
from tests.integration.sftp import SftpServer, rclone_sftp
from tests.integration.sources.places import NAMES, patterned, read
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


@pytest.fixture
def links(root: Path) -> Path:
    """A tree with every kind of link and special file."""
    (root / "file").write_text("file")
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "deep" / "x").write_text("x")
    (root / "empty").mkdir()
    (root / "sub" / "up").symlink_to("..")
    (root / "sub" / "deep" / "loop").symlink_to(root)
    (root / "itself").symlink_to("itself")
    (root / "dangling").symlink_to("nothing")
    (root / "out").symlink_to("/etc/hostname")
    (root / "in").symlink_to("sub/deep/x")
    (root / "folder").symlink_to("sub/deep")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "socket"))
    return root


def test_a_folder_that_lies_too_deep(sftp_server: SftpServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, at a retry too, and what is above is listed."""
    monkeypatch.setattr(depth, "MOST_FOLDERS", 3)
    (root / "a/b/c/d/e").mkdir(parents=True)
    (root / "a/b/c/file").write_text("x")
    source = source_of(sftp_server, root)
    assert codes(source) == {"a/b/c/d/": "too_deep"}
    again = [*source.relist(Item("a/b/c/d/", "a/b/c/d/"))]
    assert [one.failure.code for one in again if isinstance(one, Item) and one.failure] == ["too_deep"]


def test_links_and_special_files(sftp_server: SftpServer, links: Path, tmp_path: Path) -> None:
    """Links, pipes and sockets are skipped, no link is followed, and a collection opens none of them."""
    source = source_of(sftp_server, links)
    skipped = ["sub/up", "sub/deep/loop", "itself", "dangling", "out", "in", "folder"]
    special = dict.fromkeys(("pipe", "socket"), "special_file")
    assert codes(source) == dict.fromkeys(skipped, "symlink") | special | {"empty/": "empty_folder"}
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder, {"file": b"file", "sub/deep/x": b"x"})
    assert held(folder).keys() == {"file", "sub/deep/x"}


def test_links_that_are_followed(sftp_server: SftpServer, links: Path, tmp_path: Path) -> None:
    """Links inside the folder are followed; loops end, and what leads out or nowhere is an item that failed."""
    source = source_of(sftp_server, links, follow_symlinks=True)
    assert codes(source) == {
        "sub/up": "symlink", "sub/deep/loop": "symlink", "folder/loop": "symlink", "itself": "not_found",
        "dangling": "not_found", "out": "path_unsafe", "pipe": "special_file", "socket": "special_file",
        "empty/": "empty_folder",
    }  # fmt: skip
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    assert held(folder).keys() == {"file", "sub/deep/x", "in", "folder/x"}
    check_account(folder)


def test_loops_at_a_retry(sftp_server: SftpServer, links: Path) -> None:
    """A link that has come to lead to a folder it lies in is skipped at a retry, in a folder too, as in a listing."""
    source = source_of(sftp_server, links, follow_symlinks=True)
    fresh = {one.id: one.skipped for one in items_of(source) if one.skipped and one.skipped.code == "symlink"}
    assert fresh.keys() == {"sub/up", "sub/deep/loop", "folder/loop"}
    for path, skipped in fresh.items():
        assert [(one.id, one.skipped) for one in relisted(source, Item(path, path))] == [(path, skipped)]
    inside = {one.id: one.skipped for one in relisted(source, Item("sub/", "sub/"))}
    assert inside == {"sub/deep/x": None, **{path: fresh[path] for path in ("sub/up", "sub/deep/loop")}}
    assert [one.id for one in relisted(source, Item("folder", "folder")) if not one.skipped] == ["folder/x"]


def test_names_that_are_no_text(sftp_server: SftpServer, root: Path, tmp_path: Path) -> None:
    """A name of any bytes has an id of its own, from which it is read."""
    names = [b"not-utf8-\xff\xfe", b"bytes:%41", "ünïcödé".encode()]
    for name in names:
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)
    source = source_of(sftp_server, root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    ids = {"bytes:not-utf8-%FF%FE", "bytes:bytes%3A%2541", "ünïcödé"}
    assert held(folder).keys() == ids
    assert {read(source, Item(id_, "")) for id_ in ids} == set(names)


def test_roots(sftp_server: SftpServer, root: Path) -> None:
    """A single file, a path with odd characters and a folder that is a link are sources; what is not there is none."""
    odd = root / "a b%?#ü"
    odd.mkdir()
    (odd / "file").write_text("x")
    (root / "link").symlink_to(odd)
    for path, ids in (("a%20b%25%3F%23%C3%BC", ["file"]), ("link", ["file"]), ("link/file", ["file"])):
        source = source_of(sftp_server, root / path)
        items = list(items_of(source))
        assert [item.id for item in items] == ids
        assert read(source, items[0]) == b"x"
        assert [item for item, got in source.read_many(items, 2) if isinstance(got, Content)] == items
    assert failed(source_of(sftp_server, root / "nothing")).code == "not_found"
    os.mkfifo(root / "pipe")
    assert failed(source_of(sftp_server, root / "pipe")).code == "special_file"


@pytest.mark.parametrize("configured", ["", "StrictHostKeyChecking no\n", "StrictHostKeyChecking accept-new\n"])
def test_a_host_key_that_is_not_known(sftp_server: SftpServer, root: Path, tmp_path: Path, configured: str) -> None:
    """It is never accepted, whatever the configuration says, and the message has the line to add, which is right."""
    known, config = tmp_path / "known", tmp_path / "config"
    config.write_text(f"{configured}UserKnownHostsFile {known}\nGlobalKnownHostsFile none\n")
    error = failed(source_of(sftp_server, root, known_hosts=None, config_file=config))
    assert error.code == "bad_credentials"
    assert "add this line" in str(error)
    assert f": {sftp_server.known_hosts} [" in str(error)
    assert not known.exists()
    known.write_text(sftp_server.known_hosts + "\n")
    assert list(items_of(source_of(sftp_server, root, known_hosts=None, config_file=config))) == []


def test_a_host_key_that_has_changed(sftp_server: SftpServer, root: Path) -> None:
    """Another key than the known one is refused, and its line is not offered."""
    other = " ".join((sftp_server.folder / "user.pub").read_text().split()[:2])
    error = failed(source_of(sftp_server, root, known_hosts=f"[127.0.0.1]:{sftp_server.port} {other}"))
    assert error.code == "bad_credentials"
    assert "is another than known_hosts has" in str(error)
    assert "add this line" not in str(error)


def test_a_key_that_is_refused(sftp_server: SftpServer, root: Path) -> None:
    """A wrong key, and one that is no key, are `bad_credentials`."""
    for key in ((sftp_server.folder / "host").read_text(), "no key"):
        assert failed(source_of(sftp_server, root, private_key=key)).code == "bad_credentials"


def test_nothing_listens(sftp_server: SftpServer, root: Path) -> None:
    """A server that does not listen, and a name that leads nowhere, are a lost connection."""
    access = sftp_server.access(root, known_hosts="x")
    for url in (f"sftp://127.0.0.1:1{root}", "sftp://host.invalid/x"):
        assert failed(SftpSource(**{**access, "url": url, "connect_timeout": 5})).code == "connection_lost"


def test_the_users_configuration(sftp_server: SftpServer, root: Path, tmp_path: Path) -> None:
    """An alias, its user, port and key, and a jump host are those of the configuration."""
    (root / "file").write_text("x")
    known = tmp_path / "known"
    known.write_text(sftp_server.known_hosts + "\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host jump there\n  HostName 127.0.0.1\n  Port {sftp_server.port}\n  User {sftp_server.user}\n"
        f"  IdentityFile {sftp_server.folder / 'user'}\n  UserKnownHostsFile {known}\n  IdentitiesOnly yes\n"
        "Host there\n  ProxyJump jump\n"
    )
    source = SftpSource(url=f"sftp://there{root}", config_file=config)
    assert [item.id for item in items_of(source)] == ["file"]
    assert (sftp_server.folder / "log").read_text().count("Accepted publickey") >= 2


def test_secrets_are_on_no_command_line(sftp_server: SftpServer, root: Path) -> None:
    """While it runs, neither a command line nor the environment of ssh has the key; nor has the source's repr."""
    source = source_of(sftp_server, root)
    assert list(items_of(source)) == []
    secret = sftp_server.private_key.splitlines()[1]
    running = [child for child in psutil.Process().children(recursive=True) if child.name() == "ssh"]
    assert running
    for process in running:
        assert secret not in " ".join(process.cmdline())
        assert secret not in str(process.environ())
    assert secret not in repr(source)


def test_connections_that_are_not_used_are_closed(
    sftp_server: SftpServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes of ssh end soon after the last use."""
    source = source_of(sftp_server, root)
    assert list(items_of(source)) == []
    (session,) = source._connection()._pool._sessions
    monkeypatch.setattr(pool_module, "_IDLE", 0.2)
    assert list(items_of(source)) == []
    deadline = time.monotonic() + 120
    while session.is_alive and time.monotonic() < deadline:
        time.sleep(0.02)  # polled: the connection is closed by a timer
    assert not session.is_alive
    assert list(items_of(source)) == []


def test_a_staging_store_in_the_source(sftp_server: SftpServer, root: Path) -> None:
    """A staging store below the folder of a server on this machine is left out, with a warning."""
    (root / "file").write_text("x")
    source = source_of(sftp_server, root)
    (root / "work" / "store").mkdir(parents=True)
    for _ in range(2):
        folder = new_job(DirectoryStore(root / "work" / "store"), source)
        result = attempt(folder, source)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert held(folder).keys() == {"file"}
        assert unsuccessful(folder)["work/store/"]["error_code"] == "staging_store"
        assert any("The staging store lies in the source" in warning for warning in result.warnings)


def test_another_server_with_a_password(root: Path, tmp_path: Path) -> None:
    """A server that is not OpenSSH's is collected as well, with a password; a wrong one is `bad_credentials`."""
    for name in NAMES:
        (root / name).write_bytes(name.encode())
    for number in range(300):
        (root / "many").mkdir(exist_ok=True)
        (root / "many" / str(number)).write_bytes(b"x" * number * 100)
    (root / "large").write_bytes(patterned(3_000_000))
    with rclone_sftp(tmp_path / "rclone", root) as access:
        assert failed(SftpSource(**{**access, "password": "wrong"})).code == "bad_credentials"
        source = SftpSource(**access)
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder, {"large": patterned(3_000_000)})
        assert len(held(folder)) == len(NAMES) + 301


def test_ssh_is_not_installed(sftp_server: SftpServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ssh on the PATH the message says what to install."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install OpenSSH's client" in str(failed(source_of(sftp_server, root, connections=3)))


def test_the_client_is_openssh() -> None:
    """The options that are given on the command line are those of the installed client."""
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    assert said.startswith("OpenSSH_")
