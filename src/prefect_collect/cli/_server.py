"""Prefect's server for a command: the configured one, or one that lives as long as the command.

Prefect would start a temporary server by itself, but in the terminal's process group: Ctrl-C would end the server
together with the job that has to tell it that it was canceled.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

from prefect_collect.errors import JobError

STARTUP_SECONDS: Final = 180.0
"""How long a server may take to start; a slow machine needs half a minute, the first time more."""

_QUIET: Final = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_CLI_COLORS": "false",
    # Prefect's usage statistics, and the notice on them, which it prints where a terminal is.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def quieten() -> None:
    """Before Prefect is imported: have it log nothing to the terminal that a command already says in a line."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def configured_api() -> str | None:
    """The URL of the server that the environment or Prefect's profile names; None if there is none."""
    quieten()
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


@contextmanager
def prefect_server(say: Callable[[str], None]) -> Iterator[str]:
    """The URL of a server that runs: the configured one, or one that is started now and stopped at the end."""
    configured = configured_api()
    if configured is not None:
        yield configured
        return
    from prefect.context import refresh_global_settings_context

    say("Starting Prefect's server (up to a minute); set PREFECT_API_URL to use a running one.")
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process, url = _start(log)
        try:
            _wait(process, url, log)
            say(f"Prefect's server runs ({time.monotonic() - started:.0f} s).")
            os.environ["PREFECT_API_URL"] = url
            refresh_global_settings_context()
            yield url
            _settle()
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            refresh_global_settings_context()
            _stop(process)


def _start(log: IO[bytes]) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_end_with_parent(),
    )
    return process, f"http://127.0.0.1:{port}/api"


def _end_with_parent() -> Callable[[], None]:
    """Have the kernel end the server when this process is killed and cannot."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, from linux/prctl.h

    return ask


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    import httpx

    deadline = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success:
                return
        time.sleep(0.1)  # the condition is polled: the server announces itself in no other way
    log.seek(0)
    last = log.read().decode(errors="replace").rstrip(". \n").splitlines()[-1:]
    raise JobError(
        f"Prefect's server did not start{': ' if last else ''}{''.join(last)}. Try `prefect server start`, and set "
        "PREFECT_API_URL to its address."
    )


def _settle() -> None:
    """Let Prefect's background threads send what they hold while the server still listens."""
    from prefect.events.worker import EventsWorker

    with suppress(Exception):
        EventsWorker.drain_all(timeout=10)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
