"""A process ``rclone rcd``: started when it is first needed, ended with this process or when it is not used.

Its commands and its files are served on the loopback interface, to whom knows a password that is made for it alone. A
configuration that is given is written to a private file for this process alone, and removed with it.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.rclone.failures import rclone_error
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

_READY: Final = re.compile(rb"Serving remote control on (http://127\.0\.0\.1:\d+)/")
_START_SECONDS: Final = 60.0
_LOOK: Final = 0.05
_TRIES: Final = 2
"""How often rclone itself tries a request: an attempt has tries and pauses of its own, which a cancel ends."""

_USER: Final = "prefect-collect"
_SAID: Final = 4096

_UNTIL_WE_END: Final = '"$@" </dev/null & child=$!; cat >/dev/null; kill $child; wait $child; rm -rf -- "$0"'
"""A shell that ends rclone, and removes its files, when the pipe from this process is closed: by kill -9 too."""


class Rclone:
    """A running rclone: `url` is its address, `login` its user and password. Every error is a SourceError."""

    def __init__(self, config: str | None, *, connect_timeout: float, read_timeout: float) -> None:
        program = shutil.which("rclone")
        if program is None:
            raise source_error("source_error", f"rclone is not installed; {HOW_TO_INSTALL}", "rclone://")
        self.login = (_USER, secrets.token_urlsafe(24))
        self._folder = tempfile.mkdtemp(prefix="prefect-collect-rclone-")
        self._owner = os.getpid()
        self._said: IO[bytes] = open(Path(self._folder, "log"), "w+b")  # noqa: SIM115 - see `close`
        command = [program, "rcd", "--rc-serve", "--rc-addr=127.0.0.1:0", "--use-server-modtime=false"]
        command += [f"--low-level-retries={_TRIES}"]
        command += [f"--contimeout={connect_timeout:g}s", f"--timeout={read_timeout:g}s"]
        if config is not None:
            command.append(f"--config={_private(self._folder, config)}")
        keys = {"RCLONE_RC_USER": self.login[0], "RCLONE_RC_PASS": self.login[1], "RCLONE_ASK_PASSWORD": "false"}
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _UNTIL_WE_END, self._folder, *command],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, env=os.environ | keys,
            start_new_session=True,  # Ctrl-C is for the job, which ends its sources in order
        )  # fmt: skip
        atexit.register(self.close)
        try:
            self.url = self._served()
        except BaseException:
            self.close()
            raise

    def _served(self) -> str:
        until, stop = monotonic() + _START_SECONDS, current_stop()
        while monotonic() < until:
            text = self.said()
            if found := _READY.search(text):
                return found[1].decode()
            if self._process.poll() is not None:
                raise rclone_error(text.decode(errors="replace"), "rclone://")
            stop.require_going()
            stop.wait(_LOOK)
        raise source_error("timeout", f"rclone did not start within {_START_SECONDS:g} seconds", "rclone://")

    def said(self) -> bytes:
        """Return the end of what rclone wrote as messages."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), _SAID, max(0, size - _SAID))

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, and remove its files; a fork of the process that started it leaves it alone."""
        atexit.unregister(self.close)
        if self._said.closed or os.getpid() != self._owner:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)


HOW_TO_INSTALL: Final = "install it (https://rclone.org/install, or pip install 'prefect-collect[rclone]')"


class Shared:
    """One process of rclone, which is started when it is first asked for, and again after it has ended."""

    def __init__(self, config: str | None, *, connect_timeout: float, read_timeout: float) -> None:
        self._config, self._connect, self._read = config, connect_timeout, read_timeout
        self._lock = threading.Lock()
        self._running: Rclone | None = None

    def running(self) -> Rclone:
        """Return the running process. Raise SourceError if it cannot be started."""
        with self._lock:
            if self._running is None or not self._running.is_running:
                if self._running is not None:
                    self._running.close()
                self._running = Rclone(self._config, connect_timeout=self._connect, read_timeout=self._read)
            return self._running


def _private(folder: str, config: str) -> Path:
    """Write a configuration to a file that this user alone can read, in a private folder."""
    path = Path(folder, "rclone.conf")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(config)
    return path


__all__ = ["HOW_TO_INSTALL", "Rclone", "Shared", "SourceError"]
