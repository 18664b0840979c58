"""Fixtures that start real servers and mount real file systems, for all integration tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration import cloud_servers, servers
from tests.integration import mail_server as mail_server_module
from tests.integration.cloud_servers import Azurite, GcsServer
from tests.integration.databases import Database, MariaDb, mariadb, postgres_database, sqlite_database
from tests.integration.faults import FaultProxy
from tests.integration.mail_server import Mailbox, MailServer
from tests.integration.prefect_server import prefect_server as prefect_server
from tests.integration.servers import S3Server
from tests.integration.sftp import SftpServer, sshd


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS server, which checks signatures and checksums."""
    with servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto server, which checks neither signatures nor checksums, and keeps everything in memory."""
    with servers.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server ``rclone serve s3``, which has no conditional creates and no part copies."""
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A server of Google Cloud Storage, which checks no credentials."""
    with cloud_servers.gcs_server(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A server of Azure Blob Storage, which checks signatures."""
    with cloud_servers.azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailServer]:
    """A Dovecot, in which each test has users of its own; a user may have ten connections."""
    with mail_server_module.dovecot() as server:
        yield server


@pytest.fixture
def mailbox(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """An empty mailbox on Dovecot, whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(mail_server.certificate))
    return mail_server.new_user()


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """An SFTP server: OpenSSH's ``sshd``."""
    with sshd(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def faulty_sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """An SFTP server before which faults are caused: ``server.fault({…})``."""
    with sshd(tmp_path_factory.mktemp("faulty-sftp"), faulty=True) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """A MariaDB, in which each test has databases of its own."""
    with mariadb() as server:
        yield server


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database, of each kind in turn."""
    if request.param == "postgresql":
        return postgres_database()
    if request.param.startswith("sqlite"):
        found = sqlite_database(tmp_path)
        found.run("PRAGMA journal_mode = WAL" if request.param == "sqlite-wal" else "SELECT 1")
        return found
    server: MariaDb = request.getfixturevalue("mariadb_server")
    return server.database()


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[S3Server], FaultProxy]]:
    """A function that starts a proxy: ``proxy = fault_proxy(seaweedfs)``, then use ``seaweedfs.at(proxy.url)``."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(FaultProxy(server.url))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 2 MiB, which a test fills by writing more."""
    with _mounted(tmp_path / "full", "size=2m") as folder:
        yield folder


@pytest.fixture
def read_only_dir(tmp_path: Path) -> Iterator[Path]:
    """A directory on a read-only file system, to which even root cannot write."""
    with _mounted(tmp_path / "read-only", "ro,size=64k") as folder:
        yield folder


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"mounting needs root: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
