"""The command `console`, and the console beside `serve`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prefect_collect.cli._exits import OK
from prefect_collect.cli._server import configured_api
from prefect_collect.cli._timed_lines import say
from prefect_collect.console.roles import Role
from prefect_collect.errors import UsageError


def run_console(
    host: str,
    port: int,
    token_file: Path | None,
    host_names: tuple[str, ...],
    root_path: str,
    *,
    https: bool,
    user_header: str | None,
    trusted_proxies: tuple[str, ...],
    user_role: Role,
) -> int:
    """Serve the console until SIGINT or SIGTERM."""
    if bool(user_header) != bool(trusted_proxies):
        raise UsageError(
            "--user-header and --trusted-proxy go together: the header is believed from that address only."
        )
    if root_path and not root_path.startswith("/"):
        raise UsageError(f"A path begins with '/'. [--root-path={root_path}]")
    if configured_api() is None:
        raise UsageError(
            "No Prefect server is configured, so there are no jobs to show: set PREFECT_API_URL, or run "
            "`prefect-collect serve`, which starts a server and the console."
        )
    from prefect_collect.console.access import read_grants
    from prefect_collect.console.guard import Proxy
    from prefect_collect.console.server import ConsoleOptions, running_console

    proxy = Proxy(user_header, frozenset(trusted_proxies), user_role) if user_header else None
    grants = tuple(read_grants(token_file)) if token_file is not None else ()
    options = ConsoleOptions(host, port, root_path, host_names, grants, proxy, https)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with running_console(options, say):
        over.wait()
    return OK


@contextmanager
def served_beside(say: Callable[[str], None]) -> Iterator[None]:
    """Serve the console while the context lasts; if its port is taken, only say so."""
    from prefect_collect.console.server import ConsoleOptions, running_console

    with ExitStack() as stack:
        try:
            stack.enter_context(running_console(ConsoleOptions(), say))
        except UsageError as error:
            say(f"The console is not served: {error}")
        yield
