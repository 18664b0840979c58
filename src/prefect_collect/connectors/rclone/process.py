"""A process ``rclone rcd``: started when it is first needed, ended a minute after its last use or with this process.

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.rclone.failures import rclone_error
from prefect_collect.threads.stop import current_stop

_READY: Final = re.compile(rb"Serving remote control on (http://127\.0\.0\.1:\d+)/")
_START_SECONDS: Final = 60.0
_LOOK: Final = 0.05
_TRIES: Final = 2
"""How often rclone itself tries a request: an attempt has tries and pauses of its own, which a cancel ends."""

_USER: Final = "prefect-collect"
_SAID: Final = 4096
_MOST_SAID: Final = 1 << 20
_IDLE_SECONDS: Final = 60.0
_LOOK_EVERY: Final = 5.0

_UNTIL_WE_END: Final = '"$@" </dev/null & child=$!; cat >/dev/null; kill $child; wait $child; rm -rf -- "$0"'
"""A shell that ends rclone, and removes its files, when the pipe from this process is closed: by kill -9 too."""


class Rclone:
    """A running rclone. Every error is a SourceError.

    Attributes:
        url: Its address.
        login: Its user and password.
        folder: A private folder, which is removed with it.
    """

    def __init__(self, config: str | None, *, connect_timeout: float, read_timeout: float) -> None:
        program = shutil.which("rclone")
        if program is None:
            raise source_error("program_missing", f"rclone is not installed; {HOW_TO_INSTALL}", "rclone://")
        self.login = (_USER, secrets.token_urlsafe(24))
        self.folder = tempfile.mkdtemp(prefix="prefect-collect-rclone-")
        self._owner = os.getpid()
        self._said: IO[bytes] = open(Path(self.folder, "log"), "w+b")  # noqa: SIM115 - see `close`
        # With --crypt-strict-names, a name that cannot be decrypted is an error, and not left out of the list.
        command = [program, "rcd", "--rc-serve", "--rc-addr=127.0.0.1:0", "--crypt-strict-names"]
        command += [f"--low-level-retries={_TRIES}"]
        command += [f"--contimeout={connect_timeout:g}s", f"--timeout={read_timeout:g}s"]
        keys = {"RCLONE_RC_USER": self.login[0], "RCLONE_RC_PASS": self.login[1], "RCLONE_ASK_PASSWORD": "false"}
        try:
            if config is not None:
                command.append(f"--config={_private(self.folder, config)}")
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _UNTIL_WE_END, self.folder, *command],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, env=os.environ | keys,
                start_new_session=True,  # Ctrl-C is for the job, which ends its sources in order
            )  # fmt: skip
        except BaseException:
            self._said.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
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
        return self.said_since(max(0, self.log_size - _SAID))

    @property
    def log_size(self) -> int:
        """The bytes of what rclone wrote as messages."""
        return os.fstat(self._said.fileno()).st_size

    def said_since(self, size: int) -> bytes:
        """Return what rclone wrote as messages after so many bytes, at most 1 MiB."""
        return os.pread(self._said.fileno(), _MOST_SAID, size)

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
        shutil.rmtree(self.folder, ignore_errors=True)


HOW_TO_INSTALL: Final = "install it (https://rclone.org/install, or pip install 'prefect-collect[rclone]')"


class Shared:
    """One process of rclone, which is started when it is first used, and again after it has ended."""

    def __init__(self, config: str | None, *, connect_timeout: float, read_timeout: float) -> None:
        self._config, self._connect, self._read = config, connect_timeout, read_timeout
        self._lock = threading.Lock()
        self._running: Rclone | None = None
        self._users = 0
        self._used = monotonic()

    @contextmanager
    def used(self) -> Iterator[Rclone]:
        """Yield the running process, which is not ended within the block. Raise SourceError if it cannot be started."""
        with self._lock:
            running = self._started()
            self._users += 1
        try:
            yield running
        finally:
            with self._lock:
                self._users -= 1
                self._used = monotonic()

    def _started(self) -> Rclone:
        if self._running is None or not self._running.is_running:
            if self._running is not None:
                self._running.close()
            running = Rclone(self._config, connect_timeout=self._connect, read_timeout=self._read)
            self._running = running
            threading.Thread(target=self._end_when_idle, args=(running,), name="rclone", daemon=True).start()
        return self._running

    def _end_when_idle(self, running: Rclone) -> None:
        while True:
            sleep(_LOOK_EVERY)
            with self._lock:
                if self._running is not running:
                    return
                if not self._users and monotonic() - self._used >= _IDLE_SECONDS:
                    self._running = None
                    running.close()
                    return


def _private(folder: str, config: str) -> Path:
    """Write a configuration to a file that this user alone can read, in a private folder."""
    path = Path(folder, "rclone.conf")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(config)
    return path
