"""The contract of sources, for lists of URLs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import DataSource, HttpListSource
from tests.integration.http_files import Fault as HttpFault
from tests.integration.http_files import HttpFiles, Zeros, http_files
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import SENT, DatedPlace, DatesContract, http_date
from tests.integration.sources.places import Fault, Place

pytestmark = pytest.mark.integration

TOKEN = "not-a-secret"
ODD_DATES: dict[str | None, datetime | None] = {
    None: None, "": None, "yesterday": None, "0": None, "Sun, 31 Nov 1994 08:49:37 GMT": None,
    "Sunday, 06-Nov-94 08:49:37 GMT": SENT, "Sun Nov  6 08:49:37 1994": SENT, "Sun, 06 Nov 1994 08:49:37": SENT,
    "Sun, 06 Nov 1994 08:49:37 UTC": SENT, "Sun, 06 Nov 1994 10:49:37 +0200": SENT,
    "Sun, 06 Nov 1994 08:49:37 -0000": SENT, "Sun, 06 Nov 1994 08:49:37 CET": None,
    "Fri, 31 Dec 9999 23:59:59 -1400": None, "Mon, 01 Jan 0001 00:00:00 +1400": None,
    "Thu, 01 Jan 10000 00:00:00 GMT": None,
}  # fmt: skip
"""What servers write, and what it means: the forms that RFC 9110 asks to be read, others, and no time."""


class UrlList(DatedPlace):
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

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Put a file with that time."""
        return self._put_dated(name, http_date(at), at.replace(microsecond=0))

    def put_oddly_dated(self) -> dict[str, datetime | None]:
        """Put files with other texts for times, and without one."""
        found: dict[str, datetime | None] = {}
        for number, (text, at) in enumerate(ODD_DATES.items()):
            found |= self._put_dated(f"odd {number}", text, at)
        return found

    def _put_dated(self, name: str, text: str | None, at: datetime | None) -> dict[str, datetime | None]:
        self.put(name, name.encode())
        self.server.files[self.server.url_of(name).removeprefix(self.server.url)].modified = text
        return {name: at}

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


class TestHttpList(SourceContract, DatesContract):
    """A list of URLs keeps the contract."""

    @pytest.fixture
    def dated(self, place: UrlList) -> DatedPlace:
        """The same."""
        return place


class TestBreakingHttpList(BreakingContract):
    """A list of URLs keeps the contract where connections break."""

    @pytest.fixture(autouse=True)
    def guarded(self, place: Place, server: HttpFiles) -> None:
        """Have the server ask for a token."""
        server.token = TOKEN
        server.released.clear()
