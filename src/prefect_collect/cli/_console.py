"""The command `console`, and the console beside `serve`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prefect_collect.cli._exits import OK
from prefect_collect.cli._server import configured_api
from prefect_collect.cli._timed_lines import say
from prefect_collect.console.roles import Role
from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.pages.console_links import is_console_address

if TYPE_CHECKING:
    from prefect_collect.console.access import Grant
    from prefect_collect.console.server import ConsoleOptions


def run_console(
    host: str,
    port: int,
    token_file: Path | None,
    host_names: tuple[str, ...],
    root_path: str,
    *,
    https: bool,
    public_url: str | None,
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
    from prefect_collect.console.guard import Proxy
    from prefect_collect.console.server import ConsoleOptions

    proxy = Proxy(user_header, frozenset(trusted_proxies), user_role) if user_header else None
    grants = grants_of(token_file)
    public = _public_url(public_url, root_path)
    options = ConsoleOptions(host, port, root_path, host_names, grants, proxy, https, public)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with _linked_console(options, say):
        over.wait()
    return OK


@contextmanager
def served_beside(port: int, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the console while the context lasts; if its port is taken, only say so."""
    from prefect_collect.console.server import ConsoleOptions

    with ExitStack() as stack:
        try:
            options = ConsoleOptions(port=port, grants=grants_of(None), public_url=_public_url(None, ""))
            stack.enter_context(_linked_console(options, say))
        except UsageError as error:
            say(f"The console is not served: {error} The option --console-port chooses another port.")
        yield


@contextmanager
def _linked_console(options: ConsoleOptions, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the console, to which the pages in Prefect's UI link, while the context lasts."""
    from prefect_collect.console.server import running_console
    from prefect_collect.runs.console_address import entered_address

    with running_console(options, say) as url, ExitStack() as stack:
        try:
            why = stack.enter_context(entered_address(url, is_chosen=bool(options.public_url)))
        except Exception as error:  # the console works without
            why = f"Prefect did not take the console's address: {one_line(str(error))}"
        if why:
            say(f"Pages in Prefect's UI do not link to this console: {why}.")
        yield


def grants_of(token_file: Path | None) -> tuple[Grant, ...]:
    """Return the grants of the file that the option or the setting names; none if neither does. Raise UsageError."""
    from prefect_collect.console.access import read_grants
    from prefect_collect.runs.settings import CollectSettings

    path = token_file or CollectSettings().console_token_file
    return () if path is None else tuple(read_grants(path))


def _public_url(given: str | None, root_path: str) -> str:
    """Return the address that the option or the setting names, else ""."""
    from prefect_collect.runs.settings import CollectSettings

    url = given or CollectSettings().console_url or ""
    if url and not is_console_address(url):
        raise UsageError(
            f"The console's public address must be as https://collect.example.org/console. [--public-url={url}]"
        )
    path = urlsplit(url).path.rstrip("/")
    if url and root_path and root_path.rstrip("/") != path:
        raise UsageError(f"The public address has another path. [--public-url={url}] [--root-path={root_path}]")
    return url
