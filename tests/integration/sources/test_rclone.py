"""The contract of sources, for what rclone reads: over folders, encrypted ones, WebDAV and S3."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from prefect_collect import DataSource, RcloneSource
from prefect_collect.blocks import source_from
from prefect_collect.connectors.rclone import process
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.sources import Item, depth
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.faults import FaultProxy
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server, find_program
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import Fault, Place, collected, read
from tests.integration.sources.proxied import ProxiedPlace
from tests.integration.sources.test_folder import Folder
from tests.integration.webdav import WebDavServer, webdav
from tests.support.run_attempts import attempt, held, job_rows, new_job, unsuccessful

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("rclone_installed")]


def source(config: str, url: str = "rclone://place", **fields: object) -> RcloneSource:
    """Return a source with that configuration."""
    return RcloneSource.model_validate({"name": "place", "url": url, "config": SecretStr(config), **fields})


class Aliased(Folder):
    """A folder behind an alias, which rclone reads as it reads a cloud drive."""

    many = 600
    refused = frozenset({"new\nline", "tab\t"})  # rclone shows other characters in their place

    def source(self) -> DataSource:
        """Return the source of the folder."""
        return source(f"[place]\ntype = alias\nremote = {self.root}\n")


class TestRclone(SourceContract, DatesContract):
    """What rclone reads keeps the contract."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """An empty folder."""
        (tmp_path / "root").mkdir()
        return Aliased(tmp_path / "root")

    @pytest.fixture
    def dated(self, place: Aliased) -> DatedPlace:
        """The same."""
        return place


class OverWebDav(ProxiedPlace, Folder):
    """A folder behind an alias of a WebDAV server, through a proxy that causes faults."""

    restarted = 3  # rclone waits for up to two seconds before each request to a server that fails

    proxy: FaultProxy

    def __init__(self, root: Path, proxy: FaultProxy) -> None:
        super().__init__(root)
        self.proxy = proxy

    def source(self) -> DataSource:
        """Return the source of the folder."""
        dav = f"[dav]\ntype = webdav\nurl = {self.proxy.url}/{self.root.name}\nvendor = other\n"
        return source(f"{dav}[place]\ntype = alias\nremote = dav:\n", read_timeout=5, connect_timeout=5)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between rclone and the server."""
        if fault == "listing":
            proxy.truncate_next(method="PROPFIND", path="/m/")
        elif fault == "credentials":
            proxy.fail_next(1_000_000, status=401)
        else:
            super().cause(fault, proxy)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    """A WebDAV server."""
    with webdav(tmp_path_factory.mktemp("rclone-over-webdav")) as server:
        yield server


class TestBreakingRclone(BreakingContract):
    """What rclone reads keeps the contract where the connections of rclone break."""

    @pytest.fixture
    def place(self, served: WebDavServer, tmp_path: Path) -> Iterator[Place]:
        """An empty folder behind a proxy that breaks."""
        folder = served.root / tmp_path.name
        folder.mkdir()
        with FaultProxy(f"http://127.0.0.1:{served.port}") as proxy:
            yield OverWebDav(folder, proxy)


def encrypted(remote: str, password: str = "a pass") -> str:
    """Return a configuration of an encrypted remote over another."""
    hidden = subprocess.run([find_program("rclone"), "obscure", password], capture_output=True, text=True, check=True)
    return f"[place]\ntype = crypt\nremote = {remote}\npassword = {hidden.stdout.strip()}\n"


def test_an_encrypted_folder_through_prefect(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A saved source keeps its configuration as a secret; the collection has the files as they were encrypted."""
    from prefect_collect import collect, jobs

    clear, config = tmp_path / "clear", encrypted(str(tmp_path / "encrypted"))
    (clear / "sub").mkdir(parents=True)
    (clear / "a.txt").write_text("one")
    (clear / "sub" / "ü.txt").write_text("two")
    (tmp_path / "conf").write_text(config)
    command = [find_program("rclone"), "--config", str(tmp_path / "conf"), "copy", str(clear), "place:below"]
    subprocess.run(command, check=True)
    with prefect_server.used():
        source(config, "rclone://place/below", name="drive").save("drive", overwrite=True)
        state = collect(source=RcloneSource.load("drive"), store=tmp_path / "store", return_state=True)
        job = jobs.get(str(state.state_details.flow_run_id))
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, job.message
    assert set(held(job.folder)) == {"a.txt", "sub/ü.txt"}
    secret = config.rpartition("password = ")[2].strip()
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes()


def test_hashes_of_the_service_are_compared(moto: S3Server, tmp_path: Path) -> None:
    """An object store's MD5 is the item's ETag, and what arrives is held to it; the proof says so."""
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="x/a", Body=b"bytes", Metadata={"btime": "2019-03-04T05:06:07Z"})
    keys = f"access_key_id = {moto.access_key}\nsecret_access_key = {moto.secret_key}\nregion = {moto.region}\n"
    s3 = f"[s3]\ntype = s3\nprovider = Other\nendpoint = {moto.url}\n{keys}"
    found = source(f"{s3}[place]\ntype = alias\nremote = s3:{bucket}\n", "rclone://place/x")
    *items, end = proven(found)
    assert "states md5 of files" in end.proof  # type: ignore[union-attr]
    [item] = items_of(found)
    assert (item.id, item.size, item.etag) == ("a", 5, "md5:4b3a6218bb3e3a7303e8a171a60fcf92")
    assert item.created is None  # rclone would ask for each object
    with found.open(item) as content:
        assert content.md5 is not None
        assert content.md5.hex() == "4b3a6218bb3e3a7303e8a171a60fcf92"
    folder, status = collected(tmp_path, found)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert items
    assert held(folder)["a"]["source_etag"] == item.etag


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[place]\ntype = s3\n", "s3://bucket/prefix"),
        ("[place]\ntype = sftp\nhost = h\n", "sftp://user@host/path"),
        ("[place]\ntype = local\n", "the folder itself"),
        ("[other]\ntype = memory\n", "has no remote place; those that it has: other"),
        ("[place]\ntype = no-such-thing\n", "no-such-thing"),
    ],
)
def test_what_it_does_not_read(config: str, says: str) -> None:
    """A service that another source reads is refused, and that is named; so is what rclone does not know."""
    with pytest.raises(SourceError, match=says):
        [*source(config).items()]


def test_names_that_cannot_be_decrypted(tmp_path: Path) -> None:
    """One file of another password, or a wrong password for all: the listing fails; no file is left out silently."""
    folder = tmp_path / "encrypted"
    for name, password in (("one.txt", "a pass"), ("two.txt", "another")):
        (tmp_path / "clear").mkdir(exist_ok=True)
        (tmp_path / "clear" / name).write_text(name)
        (tmp_path / "conf").write_text(encrypted(str(folder), password))
        command = [find_program("rclone"), "--config", str(tmp_path / "conf"), "copyto"]
        subprocess.run([*command, str(tmp_path / "clear" / name), f"place:{name}"], check=True)
    job, status = collected(tmp_path, source(encrypted(str(folder))))
    assert status is not JobStatus.SUCCESSFULLY_COMPLETED
    assert job_rows(job)
    job, status = collected(tmp_path / "wrong", source(encrypted(str(folder), "neither")))
    assert status is JobStatus.FAILED


def test_a_single_file(tmp_path: Path) -> None:
    """A location that is a file is collected as one, and its listing is proven."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a b.txt").write_text("one")
    (tmp_path / "root" / "other").write_text("two")
    found = source(f"[place]\ntype = alias\nremote = {tmp_path / 'root'}\n", "rclone://place/a%20b.txt")
    job, status = collected(tmp_path, found)
    assert (status, [*held(job)]) == (JobStatus.SUCCESSFULLY_COMPLETED, ["a b.txt"])


def test_times_of_creation(tmp_path: Path) -> None:
    """They are listed, and found by a retry, where rclone states them without asking for each file; of an item that a
    retry opens without looking it up, the time of its last change is known.
    """
    file = tmp_path / "root" / "a"
    file.parent.mkdir()
    file.write_bytes(b"a")
    folder = Aliased(file.parent).source()
    stat = subprocess.run(["stat", "-c", "%W", str(file)], capture_output=True, text=True, check=True)
    [item] = items_of(folder)
    assert item.created is not None
    assert int(item.created.timestamp()) == int(stat.stdout)  # both are 0 if the file system keeps none
    assert [*folder.relist(Item(item.id, item.path))] == [item]
    with folder.open(Item(item.id, item.path, is_current=False)) as content:  # a retry of what was not attempted
        assert content.modified == item.modified


def test_links_that_rclone_does_not_follow(tmp_path: Path) -> None:
    """What rclone says that it leaves out makes the listing incomplete."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("a")
    (tmp_path / "root" / "link").symlink_to("a")
    job, status = collected(tmp_path, source(f"[place]\ntype = alias\nremote = {tmp_path / 'root'}\n"))
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert job_rows(job) == ["enumeration_failed"]


def test_a_process_that_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after its idle time, not while it is used, and is started again when it is needed."""
    monkeypatch.setattr(process, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(process, "_IDLE_SECONDS", 0.1)
    shared = process.Shared("[place]\ntype = memory\n", connect_timeout=5, read_timeout=5)
    with shared.used() as running:
        time.sleep(1)  # many times its idle time
        assert running.is_running
    until(lambda: not running.is_running)
    with shared.used() as again:
        assert again is not running
        again.close()


def test_a_service_that_throttles(served: WebDavServer, tmp_path: Path) -> None:
    """Answers that ask for less are `throttled`, of an item and of the listing; a retry collects what is left."""
    folder = served.root / tmp_path.name
    folder.mkdir()
    (folder / "x").write_text("x")
    (folder / "y").write_text("y")
    with FaultProxy(f"http://127.0.0.1:{served.port}") as proxy:
        found = OverWebDav(folder, proxy).source()
        proxy.fail_next(1_000, status=429, path="/y")
        job, status = collected(tmp_path, found)
        assert status is JobStatus.PARTIALLY_COMPLETED
        assert unsuccessful(job)["y"]["error_code"] == "throttled"
        proxy.clear()
        assert attempt(job, found).status is JobStatus.SUCCESSFULLY_COMPLETED
        proxy.fail_next(1_000, status=429)
        again = new_job(job.store, found)
        assert attempt(again, found).status is JobStatus.FAILED
        assert "throttled" in job_rows(again)


def test_its_process_ends_with_ours(tmp_path: Path) -> None:
    """rclone, and the file with its secrets, are gone after the process that started them ended, or was killed."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("a")
    program = (
        "import os, psutil, sys, time\n"
        "from prefect_collect import RcloneSource\n"
        f'config = "[place]\\ntype = alias\\nremote = {tmp_path / "root"}\\n"\n'
        "source = RcloneSource(url='rclone://place', config=config)\n"
        "assert len([*source.items()]) == 2\n"
        "children = psutil.Process().children(recursive=True)\n"
        "[rclone] = [one for one in children if 'rclone' in one.name()]\n"
        "[config] = [word for word in rclone.cmdline() if word.startswith('--config=')]\n"
        "assert not [word for word in rclone.cmdline() if 'pass' in word]\n"
        "assert os.stat(config[9:]).st_mode & 0o077 == 0\n"
        "print(rclone.pid, config[9:], flush=True)\n"
        "time.sleep(600 if sys.argv[1] == 'kill' else 0)\n"
    )
    for how in ("kill", "end"):
        child = subprocess.Popen([sys.executable, "-c", program, how], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        pid, _, config = child.stdout.readline().strip().partition(" ")
        if how == "kill":
            child.kill()
        child.wait(30)
        until(lambda: not psutil.pid_exists(int(pid)) and not Path(config).exists())  # noqa: B023


def until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a process of another parent gives no notice of its end


def test_addresses() -> None:
    """The URL gives the source; one that cannot be used is refused, and the message names the form."""
    assert source_from("rclone://drive/Team/Docs").location() == "rclone://drive/Team/Docs"
    for bad in ("rclone://", "rclone:///x", "rclone://a/../b", "rclone://a/x?y", "rclone://:local,x=y:/etc"):
        with pytest.raises(InvalidLocation, match="url"):
            source_from(bad)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """The listing of a folder that is not there fails with `not_found`, and a single read says it of the item."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_text("a")
    config = f"[place]\ntype = alias\nremote = {tmp_path / 'root'}\n"
    with pytest.raises(SourceError) as gone:
        [*source(config, "rclone://place/none").items()]
    assert gone.value.code == "not_found"
    found = source(config)
    [item] = items_of(found)
    assert read(found, item) == b"a"
    (tmp_path / "root" / "a").unlink()
    with pytest.raises(SourceError) as lost:
        read(found, item)
    assert lost.value.code == "not_found"


def test_a_folder_that_lies_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, at a retry too, and what is above is collected."""
    monkeypatch.setattr(depth, "MOST_FOLDERS", 3)
    (tmp_path / "root/a/b/c/d/e").mkdir(parents=True)
    (tmp_path / "root/a/b/c/file").write_text("x")
    tree = Aliased(tmp_path / "root").source()
    folder = new_job(DirectoryStore(tmp_path / "staging"), tree)
    for _ in range(2):
        attempt(folder, tree)
        assert held(folder).keys() == {"a/b/c/file"}
        assert {id_: row["error_code"] for id_, row in unsuccessful(folder).items()} == {"a/b/c/d/": "too_deep"}
