"""The command `serve`: run jobs on this machine, with a Prefect server of its own if none is configured."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Final

from prefect_collect.cli._console import served_beside
from prefect_collect.cli._exits import OK
from prefect_collect.cli._server import configured_api, started_server
from prefect_collect.cli._timed_lines import say
from prefect_collect.errors import UsageError
from prefect_collect.runs.imports import importing
from prefect_collect.runs.prefect_settings import known_without_prefect

_HOST: Final = "127.0.0.1"
_PORT: Final = 4200
_ANY: Final = ("0.0.0.0", "::")

_SETTINGS: Final = {
    # The lines on jobs are made from Prefect's events instead.
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_ROOT_LEVEL": "ERROR",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
}
_JOB_SETTINGS: Final = {
    # Prefect would print the exception of a job that fails or is canceled; the run's logs have it anyway.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}
_UI_FILES: Final = "PREFECT_UI_STATIC_DIRECTORY"
"""The setting for the folder to which Prefect's server copies the files of its UI, and from which it serves them."""

_SERVER_SETTINGS: Final = {
    # The leases of slots survive a restart of the server.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}


def run_server(
    limit: int, host: str | None, port: int | None, *, automations: bool, notify: str | None, console: int | None
) -> int:
    """Run ``serve`` until SIGINT or SIGTERM; `console` is the console's port, None for no console."""
    if notify is not None and not automations:
        raise UsageError("--notify needs --automations, which creates the ready automations.")
    of_jobs = {name: os.environ.get(name, value) for name, value in _JOB_SETTINGS.items()}
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)

    def import_all() -> None:
        with importing(freeze=True):
            from prefect_collect.deployments import prepare

            os.environ.update(of_jobs)  # Prefect's logging of this process is set up by now
            if console is not None:
                import_module("prefect_collect.console.app")
            prepare()

    with _server(host, port, import_all):
        from prefect_collect.deployments import serve

        if automations:
            _make_automations(notify)
        with served_beside(console, say) if console is not None else nullcontext():
            were_running = serve(limit, say)
        say("Ended; jobs that were running are queued, and resume at the next serve." if were_running else "Ended.")
    return OK


@contextmanager
def _server(host: str | None, port: int | None, import_all: Callable[[], None]) -> Iterator[None]:
    """Provide Prefect's server, and import meanwhile what `serve` needs."""
    configured = configured_api()
    if configured is None:
        host, port = host or _HOST, _PORT if port is None else port
        _require_free(host, port)
        shown = socket.gethostname() if host in _ANY else host
        say("Starting Prefect's server (up to a minute).")
        ui_files = _ui_files()
        settings = {"PREFECT_UI_API_URL": f"http://{shown}:{port}/api", _UI_FILES: str(ui_files), **_SERVER_SETTINGS}
        with started_server(host, port, ui=True, settings=settings, meanwhile=import_all) as url:
            _put_logos(ui_files)
            url = url if host not in _ANY else f"http://{shown}:{port}/api"
            say(f"Prefect's UI: {url.removesuffix('/api')}")
            say(f"To use this server from another terminal: export PREFECT_API_URL={url}")
            yield
        return
    for option, given in (("--host", host), ("--port", port)):
        if given is not None:
            raise UsageError(
                f"{option} is for a server that serve starts, but PREFECT_API_URL names one; leave one of them out. "
                f"[{configured}]"
            )
    import httpx

    httpx.get(f"{configured}/health", timeout=30).raise_for_status()
    say(f"Using Prefect's server: {configured}")
    import_all()
    yield


def _ui_files() -> Path:
    """Return the folder to which the server copies its UI: the configured one, else one in PREFECT_HOME."""
    plain = known_without_prefect()
    if plain is not None:
        return plain.home / "ui"
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    return Path(settings.server.ui.static_directory or settings.home / "ui")


def _put_logos(ui_files: Path) -> None:
    from prefect_collect.blocks.logos import put_logos

    put_logos(ui_files)


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"No server can be started at {host}:{port} ({error}); choose another port with --port. If Prefect's "
                f"server runs there: export PREFECT_API_URL=http://{host}:{port}/api"
            ) from error


def _make_automations(notify: str | None) -> None:
    from prefect_collect.deployments import create_automations, ensure_deployments

    ensure_deployments()
    for made in create_automations(notify):
        say(f"Automation {made.name}: {made.done}{f' ({made.why})' if made.why else ''}.")
