"""Prefect's server for a command: the configured one, or one that runs as long as the command.

Prefect would start a temporary server by itself, but in the terminal's process group: Ctrl-C would end the server too,
before the job has set its state Canceled there. Prefect's class for it (3.8: `SubprocessASGIServer`) also has no user
interface, and leaves the server running when the command is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Final

from prefect_collect.errors import JobError
from prefect_collect.runs import prefect_settings
from prefect_collect.runs.imports import importing
from prefect_collect.threads.parent_death import end_with_parent

STARTUP_SECONDS: Final = 180.0
"""Seconds that a server may take to start; a slow machine needs 30 s, and more for the first start."""

_LOCAL: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}

_SERVER_SETTINGS: Final = {
    # The server would import all installed blocks to find out whether it must register block types again, which takes
    # three times as long as to register them.
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}

_QUIET: Final = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_CLI_COLORS": "false",
    # Turn off Prefect's usage statistics, and the notice on them that it prints on a terminal.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def quieten() -> None:
    """Keep Prefect from logging to the terminal; call it before Prefect is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def configured_api() -> str | None:
    """Return the URL of the server that the environment or Prefect's profile names; None if there is none."""
    quieten()
    with importing(freeze=True):
        return prefect_settings.api_url()


@contextmanager
def prefect_server(say: Callable[[str], None]) -> Iterator[str]:
    """Yield the URL of a server: the configured one, or one that is started now and stopped at the end."""
    configured = configured_api()
    if configured is not None:
        yield configured
        return
    say("Starting Prefect's server (up to three minutes); set PREFECT_API_URL to use a running one.")
    started = time.monotonic()
    with started_server("127.0.0.1", _free_port(), ui=False, meanwhile=_import_flows) as url:
        say(f"Prefect's server runs ({time.monotonic() - started:.0f} s).")
        yield url


def _import_flows() -> None:
    """Import what most commands need that start a server."""
    with importing(freeze=True):
        import prefect_collect.flows.collection

    assert prefect_collect.flows.collection


@contextmanager
def started_server(
    host: str,
    port: int,
    *,
    ui: bool,
    settings: Mapping[str, str] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[str]:
    """Start a server, have this process use it, yield its URL, and stop it at the end.

    Args:
        host: The address to listen at.
        port: The port to listen at.
        ui: Whether the server has Prefect's UI.
        settings: Environment variables for the server; those of this process override them.
        meanwhile: Called while the server starts; it must not use the server.

    Raises:
        JobError: The server did not start.
    """
    with tempfile.TemporaryFile() as log:
        process = _start(host, port, log, ui=ui, settings=settings or {})
        url = f"http://{_LOCAL.get(host, host)}:{port}/api"
        try:
            if meanwhile is not None:
                meanwhile()
            _wait(process, url, log)
            with importing(freeze=True):
                from prefect.context import refresh_global_settings_context

            os.environ["PREFECT_API_URL"] = url
            refresh_global_settings_context()
            yield url
            _settle()
        finally:
            if os.environ.pop("PREFECT_API_URL", None) is not None:
                refresh_global_settings_context()
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(host: str, port: int, log: IO[bytes], *, ui: bool, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "prefect_collect.cli._server_process"]
    command = [*program, "server", "start", "--host", host, "--port", str(port)]
    return subprocess.Popen(
        command if ui else [*command, "--no-ui"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGTERM),
        env={**_SERVER_SETTINGS, **settings, **os.environ},
    )


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    import httpx

    deadline = time.monotonic() + STARTUP_SECONDS
    with httpx.Client(timeout=5, trust_env=False) as client:  # to make one takes longer than to ask
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if client.get(f"{url}/health").is_success:
                    return
            time.sleep(0.1)  # the condition is polled: the server announces itself in no other way
    code = process.poll()
    why = f"it does not answer after {STARTUP_SECONDS:.0f} s" if code is None else f"it ended with code {code}"
    log.seek(0)
    last = log.read().decode(errors="replace").rstrip(". \n").splitlines()[-1:]
    raise JobError(
        f"Prefect's server did not start: {why}.{' The last line of its log: ' if last else ''}{''.join(last)}"
        f"{'.' if last else ''} Try `prefect-collect serve` or `prefect server start`, "
        "and set PREFECT_API_URL to the address that it prints."
    )


def _settle() -> None:
    """Let Prefect's background threads send their pending events while the server still runs."""
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
