"""The contract of sources, for WebDAV."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, WebDavSource
from tests.integration.faults import FaultProxy
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import Fault, Place
from tests.integration.sources.proxied import ProxiedPlace
from tests.integration.sources.test_folder import Folder
from tests.integration.webdav import PASSWORD, WebDavServer, rclone_webdav, webdav

pytestmark = pytest.mark.integration


class Server(ProxiedPlace, Folder):
    """A folder that wsgidav serves, in its root; through a proxy that causes faults, if there is one."""

    many = 1_000
    uncounted = frozenset({"restart", "credentials"})

    def __init__(self, root: Path, server: WebDavServer, proxy: FaultProxy | None = None) -> None:
        super().__init__(root)
        self.server, self.proxy = server, proxy

    def source(self) -> DataSource:
        """Return the source of the folder."""
        port = None if self.proxy is None else int(self.proxy.url.rpartition(":")[2])
        keys = {} if self.server.auth == "anonymous" else {"password": PASSWORD}
        url = self.server.url(f"/{self.root.name}", port)
        return WebDavSource.model_validate(
            {"name": "place", "url": url, "read_timeout": 10, "connect_timeout": 5, **keys}
        )

    def stated(self, at: datetime) -> datetime | None:
        """Return a time in whole seconds, as HTTP has it."""
        return at.replace(microsecond=0)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server, or change the password."""
        if fault == "listing":
            proxy.truncate_next(method="PROPFIND", path="/m/")
        elif fault == "credentials":
            self.server.set_password("another")
        else:
            super().cause(fault, proxy)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault; at its end the password is the one of before."""
        try:
            with super().broken(fault):
                yield
        finally:
            self.server.set_password(PASSWORD)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    """A server without users."""
    with webdav(tmp_path_factory.mktemp("webdav")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDavServer]:
    """A server with a user, to whom it speaks Digest."""
    with webdav(tmp_path_factory.mktemp("webdav-digest"), auth="digest") as server:
        yield server


def new_folder(server: WebDavServer, name: str) -> Path:
    """Return an empty folder of the server."""
    folder = server.root / name
    folder.mkdir()
    return folder


class TestWebDav(SourceContract, DatesContract):
    """WebDAV keeps the contract, with wsgidav."""

    @pytest.fixture
    def place(self, served: WebDavServer, tmp_path: Path) -> Iterator[Place]:
        """An empty folder that a server serves."""
        folder = new_folder(served, tmp_path.name)
        yield Server(folder, served)
        shutil.rmtree(folder)

    @pytest.fixture
    def dated(self, place: Server) -> DatedPlace:
        """The same."""
        return place


class TestBreakingWebDav(BreakingContract):
    """WebDAV keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, guarded: WebDavServer, tmp_path: Path) -> Iterator[Place]:
        """An empty folder that a server serves behind a proxy that breaks."""
        folder = new_folder(guarded, tmp_path.name)
        with FaultProxy(f"http://127.0.0.1:{guarded.port}") as proxy:
            yield Server(folder, guarded, proxy)
        shutil.rmtree(folder)


class Rclone(Folder):
    """A folder that ``rclone serve webdav`` serves."""

    many = 200
    refused = frozenset({"new\nline", "tab\t"})  # rclone shows others in their place

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(root)
        self.url = url

    def put_many(self, count: int) -> None:
        """Create items in folders of 100: rclone takes four times as long to list a folder of twice as many files."""
        for number in range(count):
            self.put(f"m/{number // 100}/{number:05d}", b"%05d" % number)

    def source(self) -> DataSource:
        """Return the source of the folder."""
        return WebDavSource(name="place", url=self.url)

    def stated(self, at: datetime) -> datetime | None:
        """Return a time in whole seconds, as HTTP has it."""
        return at.replace(microsecond=0)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL at which it is served."""
    root = tmp_path_factory.mktemp("rclone-webdav")
    with rclone_webdav(tmp_path_factory.mktemp("rclone") / "server", root) as url:
        yield root, url


class TestRclone(SourceContract, DatesContract):
    """WebDAV keeps the contract with another server."""

    @pytest.fixture
    def place(self, at: tuple[Path, str], tmp_path: Path) -> Iterator[Place]:
        """An empty folder."""
        root, url = at
        (root / tmp_path.name).mkdir()
        yield Rclone(root / tmp_path.name, f"{url}{tmp_path.name}/")
        shutil.rmtree(root / tmp_path.name)

    @pytest.fixture
    def dated(self, place: Rclone) -> DatedPlace:
        """The same."""
        return place
