"""Run the console: a web server in a thread of its own, or until it is asked to end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import uvicorn

from prefect_collect.console.access import Access, Grant, new_token
from prefect_collect.console.app import create_app
from prefect_collect.console.guard import Place, Proxy
from prefect_collect.console.roles import Role
from prefect_collect.errors import UsageError
from prefect_collect.job_folder.acting import operator

HOST: Final = "127.0.0.1"
PORT: Final = 4280

_ANY: Final = ("0.0.0.0", "::")
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_STOP_SECONDS: Final = 5


@dataclass(frozen=True)
class ConsoleOptions:
    """How the console is started.

    Attributes:
        host: The address to listen at.
        port: The port to listen at; 0 for a free one.
        root_path: The path below which a reverse proxy shows the console.
        host_names: More names by which browsers reach it.
        grants: The tokens that are accepted; if there are none, one is made, for the user of this process.
        proxy: The reverse proxy that logs users in.
        secure: True if browsers reach it by HTTPS.
        public_url: The address at which browsers reach it through a proxy; its host name, path and scheme count as
            `host_names`, `root_path` and `secure`.
    """

    host: str = HOST
    port: int = PORT
    root_path: str = ""
    host_names: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    proxy: Proxy | None = None
    secure: bool = False
    public_url: str = ""


@contextmanager
def running_console(options: ConsoleOptions, say: Callable[[str], None]) -> Iterator[str]:
    """Serve the console from a thread while the context lasts, and yield the address at which browsers reach it.

    `say` is called with the address and, if a token was made, the link to log in.

    Raises:
        UsageError: It cannot listen at that address.
    """
    grants = options.grants or ((Grant(operator(), Role.OPERATE, new_token()),) if options.proxy is None else ())
    public = urlsplit(options.public_url)
    root_path = (options.root_path or public.path).rstrip("/")
    place = Place(_hosts(options), root_path, options.proxy, options.secure or public.scheme == "https")
    listening = _listening(options)
    config = uvicorn.Config(
        create_app(Access(grants), place),
        log_level="warning",
        access_log=False,  # addresses may hold a token
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        root_path=place.root_path,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="console", daemon=True)
    thread.start()
    host = socket.gethostname() if options.host in _ANY else options.host
    shown = f"[{host}]" if ":" in host else host
    url = options.public_url.rstrip("/") or f"http://{shown}:{listening.getsockname()[1]}{place.root_path}"
    say(f"Console: {url}/")
    if not options.grants and options.proxy is None:
        say(f"Log in: {url}/login?token={grants[0].token}")
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS * 2)
        listening.close()


def _hosts(options: ConsoleOptions) -> frozenset[str]:
    own = (socket.gethostname(), socket.getfqdn()) if options.host in _ANY else (options.host,)
    public = urlsplit(options.public_url).hostname or options.host
    return frozenset(name.lower() for name in (*_LOCAL, *own, public, *options.host_names))


def _listening(options: ConsoleOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        made.close()
        raise UsageError(f"The console cannot listen at {options.host}:{options.port} ({error}).") from error
    made.listen(128)
    return made
