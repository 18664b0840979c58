"""The contract of sources, for lists of URLs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import DataSource, HttpListSource
from tests.integration.http_files import Fault as HttpFault
from tests.integration.http_files import HttpFiles, Zeros, http_files
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.places import Fault, Place

pytestmark = pytest.mark.integration

TOKEN = "not-a-secret"


class UrlList(Place):
    """A list with the URL of each file of a server; an item's id is its URL."""

    many = 1_000

    def __init__(self, path: Path, server: HttpFiles) -> None:
        self.path, self.server, self.urls = path, server, dict[str, str]()
        self._write()

    def source(self) -> DataSource:
        """Return the source of the list."""
        fields: dict[str, Any] = {"allow_private": True, "read_timeout": 10, "connect_timeout": 5}
        if self.server.token is not None:
            fields["headers"] = {"127.0.0.1": {"Authorization": f"Bearer {TOKEN}"}}
        return HttpListSource(name="place", url=f"urls://{self.path}", **fields)

    def put(self, name: str, data: bytes) -> None:
        """Put a file at the server, and its URL into the list."""
        self.urls[name] = self.server.put(name, data)
        self._write()

    def remove(self, name: str) -> None:
        """Remove a file from the server; of the file of an empty place also the line."""
        del self.server.files[self.server.url_of(name).removeprefix(self.server.url)]
        if name == "gone":
            del self.urls[name]
            self._write()

    def put_many(self, count: int) -> None:
        """Put many files."""
        for number in range(count):
            self.urls[f"m/{number:05d}"] = self.server.put(f"m/{number:05d}", b"m/%05d" % number)
        self._write()

    def put_huge(self, name: str, size: int) -> None:
        """Put a file that the server makes as it is read."""
        self.urls[name] = self.server.put(name, b"")
        self.server.files[f"/{name}"].data = Zeros(size)
        self._write()

    def id_of(self, name: str) -> str:
        """Return the URL of an item."""
        return self.urls[name]

    def _write(self) -> None:
        lines = [json.dumps({"url": url, "name": name}) for name, url in self.urls.items()]
        self.path.write_text("".join(f"{line}\n" for line in lines))

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault at the server."""
        server = self.server
        if fault == "listing":
            server.faults.append(HttpFault(method="HEAD", status=503))
        elif fault == "item":
            server.faults.append(HttpFault(path="/item", keep=len(server.files["/item"].data) // 2))
        elif fault == "hang":
            server.faults.append(HttpFault(path="/hangs", hang=True, left=1_000))
        elif fault == "credentials":
            server.token = "another"
        else:
            server.stop()
        try:
            yield
            assert fault == "restart" or server.requests
            assert fault not in ("listing", "item") or not server.faults[-1].left
        finally:
            server.faults.clear()
            server.released.set()
            if fault == "credentials":
                server.token = TOKEN
            if fault == "restart":
                server.start()


@pytest.fixture(scope="module")
def server() -> Iterator[HttpFiles]:
    """A server of files."""
    with http_files() as running:
        yield running


@pytest.fixture
def place(server: HttpFiles, tmp_path: Path) -> Iterator[Place]:
    """A list without lines, of a server without files."""
    server.files.clear()
    server.requests.clear()
    yield UrlList(tmp_path / "list.jsonl", server)
    server.token = None


class TestHttpList(SourceContract):
    """A list of URLs keeps the contract."""


class TestBreakingHttpList(BreakingContract):
    """A list of URLs keeps the contract where connections break."""

    @pytest.fixture(autouse=True)
    def guarded(self, place: Place, server: HttpFiles) -> None:
        """Have the server ask for a token."""
        server.token = TOKEN
        server.released.clear()
