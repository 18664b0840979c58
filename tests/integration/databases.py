"""Databases of the tests: PostgreSQL (the server of the tests' Prefect servers), MariaDB, and files of SQLite."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from prefect_collect.blocks import SqlSource
from tests.integration.postgres import Postgres, postgres
from tests.integration.servers import end_process, ending_with_us, free_port

PASSWORD = "not-a-secret:of@any/body"
_PATIENCE = 120.0


@dataclass
class Database:
    """An empty database of a test.

    Attributes:
        dialect: ``postgresql``, ``mysql`` or ``sqlite``.
        url: Its URL, for a user who may do everything.
        port: The server's port; 0 of SQLite.
        name: The database's name, or the path of its file.
    """

    dialect: str
    url: str
    port: int = 0
    name: str = ""
    _open: Any = field(default=None, repr=False)

    def source(self, *, port: int | None = None, **fields: Any) -> SqlSource:
        """Return a source of the database; with `port`, over a proxy."""
        url = self.url.replace(f":{self.port}/", f":{port}/") if port else self.url
        given: dict[str, Any] = {"name": "place", "url": url, "connect_timeout": 5, "read_timeout": 30} | fields
        return SqlSource(**given)

    def url_of(self, user: str) -> str:
        """Return the URL for another user of the server, who may be followed by a colon and a password."""
        return re.sub("//(prefect|root)@", f"//{user}@", self.url)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield a connection of the driver, whose statements are committed one by one."""
        if self.dialect == "postgresql":
            with psycopg.connect(self.url, autocommit=True) as connection:
                yield connection
            return
        if self.dialect == "sqlite":
            opened: Any = sqlite3.connect(self.name, isolation_level=None)
        else:
            opened = pymysql.connect(
                host="127.0.0.1", port=self.port, user="root", database=self.name, autocommit=True, charset="utf8mb4"
            )
        with closing(opened):
            yield opened

    def run(self, *statements: str, rows: Sequence[Sequence[Any]] = ()) -> list[tuple[Any, ...]]:
        """Run statements, the last of them for each of `rows`; return the rows of the last one."""
        found: list[tuple[Any, ...]] = []
        with self.connection() as connection, closing(connection.cursor()) as cursor:
            for statement in statements[: -1 if rows else None]:
                cursor.execute(statement)
                found = [*cursor.fetchall()] if cursor.description else []
            if rows:
                cursor.execute("BEGIN")
                cursor.executemany(statements[-1].replace("?", "?" if self.dialect == "sqlite" else "%s"), rows)
                cursor.execute("COMMIT")
        return found

    def quoted(self, name: str) -> str:
        """Return a name as an identifier."""
        mark = "`" if self.dialect == "mysql" else '"'
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"


@dataclass(frozen=True)
class MariaDb:
    """A running MariaDB on 127.0.0.1, whose root has no password."""

    port: int
    process: Any = field(repr=False)

    def run(self, *statements: str) -> None:
        """Run statements as root."""
        with (
            closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    def database(self) -> Database:
        """Return a new database."""
        name = f"db_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return Database("mysql", f"mariadb://root@127.0.0.1:{self.port}/{name}", self.port, name)


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Run a MariaDB, whose data is lost with it."""
    server = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if server is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    folder = Path(tempfile.mkdtemp(prefix="prefect-collect-mariadb-"))
    # A mariadbd that starts deletes the temporary tables in its folder for them, also those of another one that runs.
    (folder / "tmp").mkdir()
    process = None
    try:
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--user=root", "--skip-test-db"]
        subprocess.run(
            [*install, f"--tmpdir={folder}/tmp", "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
        )
        port = free_port()
        options = [
            "--no-defaults", "--user=root", f"--datadir={folder}/data", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder}/socket", f"--tmpdir={folder}/tmp", "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync",
            "--innodb-log-file-size=8M", "--performance-schema=0", "--max-allowed-packet=256M",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(ending_with_us([server, *options]), stdout=log, stderr=log)
        found = MariaDb(port, process)
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(pymysql.err.OperationalError):
                found.run("SELECT 1")
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB does not start:\n{(folder / 'log').read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)  # the condition is polled: a login is how MariaDB is asked
        yield found
    finally:
        if process is not None:
            end_process(process)
        shutil.rmtree(folder, ignore_errors=True)


def postgres_database() -> Database:
    """Return a new database of the PostgreSQL of this process."""
    server = postgres()
    if server is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    name = f"db_{uuid.uuid4().hex[:12]}"
    server.ask("createdb", "-T", "template0", name)
    return Database("postgresql", _url(server, name), server.port, name)


def _url(server: Postgres, name: str) -> str:
    return server.url(name).replace("+asyncpg", "")


def sqlite_database(folder: Path) -> Database:
    """Return a new database in a file."""
    path = folder / "a place.db"
    return Database("sqlite", f"sqlite:///{path}", 0, str(path))
