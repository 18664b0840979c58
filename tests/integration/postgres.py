"""PostgreSQL for the Prefect servers of the tests: on SQLite, Prefect 3.8 stalls for a minute now and then.

Each process of the tests has one database server, which starts with its first Prefect server and ends with the process.
Its data directory is a copy of a directory that is made once (by `initdb`, Prefect's migrations and the registration of
its block types), so that a new Prefect server finds what its start would make.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import prefect

from tests.integration.migrated import locked, migrate, register_blocks
from tests.integration.servers import end_process, ending_with_us, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_CACHE: Final = Path(__file__).parents[2] / ".pytest_cache" / "postgres"
_MIGRATED: Final = "prefect"
_USER: Final = "prefect"
_PATIENCE: Final = 120.0
_OPTIONS: Final = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=500"]
"""Durability after a crash of the machine is not needed; each Prefect server has up to 15 connections."""


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: Debian keeps them off the PATH; None if it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = shutil.which("postgres")
    return folders[-1].parent if folders else Path(found).resolve().parent if found else None


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL on 127.0.0.1, without passwords."""

    programs: Path
    port: int

    def database(self, name: str) -> str:
        """Return the URL of a database; create it, with Prefect's tables, if it does not exist."""
        if name not in self.ask("psql", "-d", "postgres", "-Atc", "select datname from pg_database").decode().split():
            self.ask("createdb", "-T", _MIGRATED, name)
        return self.url(name)

    def dump(self, name: str) -> bytes:
        """Return the whole content of a database as SQL text."""
        return self.ask("pg_dump", name)

    def ask(self, program: str, *words: str) -> bytes:
        """Run one of PostgreSQL's programs over this server, and return what it prints."""
        command = [str(self.programs / program), "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, *words]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def url(self, name: str) -> str:
        """Return the URL of a database, as Prefect's setting takes it."""
        return f"postgresql+asyncpg://{_USER}@127.0.0.1:{self.port}/{name}"


@cache
def postgres() -> Postgres | None:
    """Return the database server of this process; start it at the first call. None if PostgreSQL is not installed."""
    programs = postgres_programs()
    if programs is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="prefect-collect-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(_template(programs), folder / "data", copy_function=shutil.copy)
    _give_away(folder)
    process, server = _start(programs, folder)
    atexit.register(end_process, process)
    return server


def _template(programs: Path) -> Path:
    """Return the data directory that all servers are copies of; the first process that needs it makes it."""
    template = _CACHE / f"{programs.parent.name}-prefect-{prefect.__version__}-blocks"
    with locked(_CACHE):
        if not template.exists():
            with _made(programs) as made:
                shutil.copytree(made, _CACHE / "made", dirs_exist_ok=False)
            (_CACHE / "made").rename(template)
    return template


@contextmanager
def _made(programs: Path) -> Iterator[Path]:
    shutil.rmtree(_CACHE / "made", ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="prefect-collect-postgres-"))
    try:
        _give_away(folder)
        command = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", _USER, "-A", "trust", "--no-sync"]
        subprocess.run(_unprivileged([*command, "--locale=C.UTF-8"]), check=True, stdout=subprocess.DEVNULL, cwd="/")
        process, server = _start(programs, folder)
        try:
            server.ask("createdb", _MIGRATED)
            url = server.url(_MIGRATED)
            migrate(folder / "home", PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
            register_blocks(folder / "home", PREFECT_SERVER_DATABASE_CONNECTION_URL=url)
        finally:
            end_process(process)
        yield folder / "data"
    finally:
        shutil.rmtree(folder)


def _start(programs: Path, folder: Path) -> tuple[subprocess.Popen[bytes], Postgres]:
    server = Postgres(programs, free_port())
    options = [f"--{option}" for option in _OPTIONS]
    command = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(server.port), "-k", str(folder)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            _unprivileged([*command, "-c", "listen_addresses=127.0.0.1", *options]),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)]
    while subprocess.run(ready, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            end_process(process)
            raise RuntimeError(f"PostgreSQL does not start:\n{(folder / 'log').read_text(errors='replace')[-4000:]}")
        time.sleep(0.05)  # the condition is polled: pg_isready is how PostgreSQL is asked
    return process, server


def _unprivileged(command: list[str]) -> list[str]:
    """Return the command so that it ends with this process and, as PostgreSQL requires, does not run as root."""
    if os.geteuid():
        return ending_with_us(command)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig", "KILL", *command]


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")
            path.chmod(0o700 if path.is_dir() else 0o600)
