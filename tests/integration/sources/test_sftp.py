"""The contract of sources, for SFTP, and what is SFTP's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, SftpSource
from tests.integration.sftp import SftpServer
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import Fault, Place
from tests.integration.sources.test_folder import Folder

pytestmark = pytest.mark.integration

DATA, NAME = 103, 104


class Server(Folder):
    """A folder that an SFTP server serves."""

    many = 2_500
    says = "collected without a time, as SFTP has only times from 1970 to 2106"

    def __init__(self, root: Path, server: SftpServer) -> None:
        super().__init__(root)
        self.server = server

    def source(self) -> DataSource:
        """Return the source of the folder, over the server."""
        return SftpSource(name="place", **self.server.access(self.root, read_timeout=10, connect_timeout=5))

    def stated(self, at: datetime) -> datetime | None:
        """Return a time in whole seconds; None if it does not fit into the protocol's 32 bits."""
        at = at.replace(microsecond=0)
        return at if 0 <= at.timestamp() < 1 << 32 else None

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault at the server."""
        if fault == "listing":
            self.server.fault({"kind": NAME, "after": 3, "what": "cut"})
        elif fault == "item":
            self.server.fault({"kind": DATA, "after": 0, "what": "cut"})
        elif fault == "hang":
            self.server.fault({"kind": DATA, "after": 0, "what": "hang"})
        elif fault == "credentials":
            self.server.refuse_key()
            self.server.stop()
            self.server.start()
        else:
            self.server.stop()
        try:
            yield
            assert fault in ("credentials", "restart") or not self.server.faults_left
        finally:
            self.server.fault()
            self.server.accept_key()
            if self.server.process is None:
                self.server.start()


class TestSftp(SourceContract, DatesContract):
    """SFTP keeps the contract."""

    @pytest.fixture
    def place(self, tmp_path: Path, sftp_server: SftpServer) -> Place:
        """An empty folder that a server serves."""
        (tmp_path / "root").mkdir()
        return Server(tmp_path / "root", sftp_server)

    @pytest.fixture
    def dated(self, place: Server) -> DatedPlace:
        """The same."""
        return place


class TestBreakingSftp(BreakingContract):
    """SFTP keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, tmp_path: Path, faulty_sftp_server: SftpServer) -> Place:
        """An empty folder that a server serves, before which faults are caused."""
        (tmp_path / "root").mkdir()
        return Server(tmp_path / "root", faulty_sftp_server)
