"""The installed command, run in a process over a real Prefect server."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.cli import run
from tests import forked
from tests.integration.cli.slow_sources import SlowBucket, slow_bucket
from tests.integration.faults import FaultProxy
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server

PROGRAM = Path(sysconfig.get_path("scripts")) / "prefect-collect"


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """Standard error as the one line that it must be."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("prefect-collect: "), self.err
        return lines[0].removeprefix("prefect-collect: ")


@dataclass(frozen=True)
class Command:
    """Runs ``prefect-collect`` with an environment."""

    environment: dict[str, str]
    folder: Path
    options: tuple[str, ...] = field(default=())

    def __call__(self, *arguments: str | Path) -> Done:
        """Run the command to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return Done(process.returncode, out, err)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command in its own process group, as a shell does."""
        return forked.Popen(
            [PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
            process_group=0,
        )

    def without_server(self, home: Path) -> Command:
        """Return the command without a configured server, with its own PREFECT_HOME."""
        kept = {name: value for name, value in self.environment.items() if not name.startswith("PREFECT_")}
        return Command({**kept, "PREFECT_HOME": str(home)}, self.folder)

    def with_environment(self, **variables: str) -> Command:
        """Return the command with more environment variables."""
        return Command({**self.environment, **variables}, self.folder)

    @contextmanager
    def serving(self, *arguments: str | Path, folder: Path) -> Iterator[Serving]:
        """Yield a `serve` in its own process group, as a shell starts it, when it is ready to run jobs."""
        log = folder / "serve.log"
        with log.open("wb") as output:
            process = forked.Popen(
                [PROGRAM, "serve", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=self.folder,
                process_group=0,
            )
        serving = Serving(process, log)
        try:
            until(lambda: "Running up to" in serving.said or process.poll() is not None)
            assert process.poll() is None, serving.said
            yield serving
        finally:
            if process.poll() is None:
                serving.end(signal.SIGTERM)


@dataclass(frozen=True)
class Serving:
    """A running ``prefect-collect serve``."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """The text that it has printed."""
        return self.log.read_text()

    def end(self, number: signal.Signals) -> int:
        """Send a signal to its process group, as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=180)


def until(condition: Callable[[], Any], seconds: float = 120, every: float = 0.4) -> Any:
    """Wait until the condition holds, and return its value. A condition that asks Prefect is asked less often."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(every)  # the condition is polled: other processes do the work
    return found


@pytest.fixture(scope="session")
def command(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command over the session's server."""
    return Command(prefect_server.environment(), tmp_path_factory.mktemp("cwd"))


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a folder of files from names and contents."""

    def make(**contents: bytes) -> Path:
        root = tmp_path / "files"
        root.mkdir(exist_ok=True)
        for name, data in contents.items():
            (root / name).write_bytes(data)
        return root

    return make


@pytest.fixture
def slow(moto: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> SlowBucket:
    """A bucket whose last object is held back."""
    return slow_bucket(moto, fault_proxy(moto))


@contextmanager
def used_quietly(server: PrefectServer) -> Iterator[PrefectServer]:
    """Make this process use the server; Prefect logs nothing, as in a process of a command."""
    logging.disable(logging.CRITICAL)
    try:
        with server.used():
            yield server
    finally:
        logging.disable(logging.NOTSET)


def run_here(*arguments: str | Path) -> Done:
    """Run a command in this process: all but signals works, without the seconds that a process takes to start."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Done(code, *(_text(stream) for stream in (out, err)))


def _text(stream: io.TextIOWrapper) -> str:
    """Return what was printed to the stream."""
    stream.seek(0)
    return stream.read()


@pytest.fixture
def used_server(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The session's server, used by this process."""
    with used_quietly(prefect_server) as server:
        yield server


@pytest.fixture
def here(used_server: PrefectServer) -> Callable[..., Done]:
    """`run_here` over the session's server, or over the server that a module uses instead."""
    return run_here


@pytest.fixture
def with_keys(moto: S3Server, here: object, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The moto server, whose address and keys commands in this process have from the environment."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return moto
