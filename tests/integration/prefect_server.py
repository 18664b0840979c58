"""A real Prefect server for the tests, with a home of its own.

from tests.integration.prefect_server import PrefectServer, prefect_server  # in a conftest.py: the fixture

def test_…(prefect_server: PrefectServer) -> None:
    subprocess.run([...], env=prefect_server.environment())    # a child process uses the server
    with prefect_server.used():                                # this process uses it
        collect(source=…)
"""

from __future__ import annotations

import atexit
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import certifi
import pytest

from tests import forked
from tests.integration.migrated import put_database
from tests.integration.postgres import postgres
from tests.integration.servers import end_process, free_port

_PATIENCE = 240.0
_ATTEMPTS = 3


@dataclass(frozen=True)
class PrefectServer:
    """A running ``prefect server start``: the URL of its API, and the PREFECT_HOME that it and its users share."""

    url: str
    home: Path

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a child process that uses this server, and no other settings of Prefect.

        What a fork starts is a fork too.
        """
        return {**_without_prefect(), **_settings(self.home), **forked.asking(), "PREFECT_API_URL": self.url}

    @property
    def ui(self) -> str:
        """The address of Prefect's present UI (V2); deep links without the version lead to the older UI."""
        return self.url.removesuffix("/api") + "/v2"

    def stored(self) -> bytes:
        """Return the whole content of its database."""
        file, database = self.home / "prefect.db", postgres()
        return file.read_bytes() if database is None or file.exists() else database.dump(_database_of(self.home))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Make this process and its threads use the server within this context."""
        before = dict(os.environ)
        os.environ.update(self.environment())
        from prefect.context import refresh_global_settings_context
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        refresh_global_settings_context()
        try:
            yield
        finally:
            # Prefect's threads for events and logs stay with the server for which they were started.
            EventsWorker.drain_all(timeout=10)
            APILogWorker.drain_all(timeout=10)
            os.environ.clear()
            os.environ.update(before)
            refresh_global_settings_context()


def _without_prefect() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _settings(home: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_API_SSL_CERT_FILE": _one_certificate(),
        # Otherwise each client requests a token that this server does not require: one request in ten.
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    }


def server_environment(home: Path, *, sqlite: bool = False) -> dict[str, str]:
    """Return the environment of a server with that PREFECT_HOME: on PostgreSQL if it is installed, else on SQLite."""
    environment = {**_without_prefect(), **_settings(home)}
    database = None if sqlite else postgres()
    if database is not None:
        environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database.database(_database_of(home))
        environment |= {
            "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
            "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        }
        # On a busy machine a statement takes longer than the default 10 s, after which the server answers 503.
        environment |= {"PREFECT_SERVER_DATABASE_TIMEOUT": "60", "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60"}
    return environment


def _database_of(home: Path) -> str:
    return f"home_{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"


@cache
def _one_certificate() -> str:
    """Return a file with one authority's certificate, as reading all of them takes each client 50 ms, even for HTTP."""
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----\n")
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(first + end)
    atexit.register(os.unlink, file.name)
    return file.name


@contextmanager
def running_prefect_server(home: Path, *, ui: bool = False, sqlite: bool = False) -> Iterator[PrefectServer]:
    """Start a server with that PREFECT_HOME, with its UI if `ui`, and end it when the context ends."""
    home.mkdir(parents=True, exist_ok=True)
    log, environment = home / "server.log", server_environment(home, sqlite=sqlite)
    if sqlite and not (home / "prefect.db").exists():
        put_database(home)
    for _ in range(_ATTEMPTS):
        port = free_port()
        server = PrefectServer(f"http://127.0.0.1:{port}/api", home)
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with log.open("ab") as output:
            process = forked.Popen(
                command if ui else [*command, "--no-ui"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Otherwise the UI calls the default port, whatever port the server has.
                env={**environment, "PREFECT_UI_API_URL": server.url},
            )
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            end_process(process)
    raise RuntimeError(f"Prefect's server does not start:\n{log.read_text(errors='replace')[-4000:]}")


def _answers(server: PrefectServer, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server is healthy; return False if its process has ended."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, urllib.error.URLError), opener.open(f"{server.url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        time.sleep(0.1)  # the condition is polled: the server announces itself in no other way
    return False


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server for the whole test session (one for each worker of a parallel run)."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server
