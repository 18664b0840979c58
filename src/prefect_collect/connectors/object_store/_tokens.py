"""The tokens by which obstore signs its requests.

obstore finds the credentials of Google and Azure in all the ways that the clouds have, and renews their tokens, but
gives no token away. So it sends a request to an address of this process, which reads the token and sends nothing on.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, HTTPServer
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies

from prefect_collect.connectors.errors import source_error
from prefect_collect.errors import SourceError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LOOK: Final = 0.02
_SECRET: Final = "x-prefect-collect"
_NOT_PROXIED: Final = {"127.0.0.1", "127.0.0.0/8"}
"""The entries of ``no_proxy`` by which obstore asks no proxy for this machine; it knows no ``*``, as Python does."""


class Tokens:
    """Gets the tokens of one obstore's store.

    Args:
        make: Returns the store for a server's address and for header lines that each of its requests has.
        failed: Returns the SourceError of an exception of obstore.
        place: The location, in which messages end.
    """

    def __init__(
        self, make: Callable[[str, dict[str, str]], ObjectStore], failed: Callable[[Exception], SourceError], place: str
    ) -> None:
        self._failed, self._place = failed, place
        self._secret = token_urlsafe(24)  # every user of this machine may send requests to the address
        self._server = _Server()
        weakref.finalize(self, self._server.server_close)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._store = make(self.url, {_SECRET: self._secret})
        self._is_seen = False
        self._authorization: str | None = None

    def obtain(self) -> str | None:
        """Return the value of the header Authorization; None if obstore sends none. Raise SourceError."""
        import obstore

        _require_no_proxy(self._place)
        self._is_seen, self._server.see = False, self._see
        ended = threading.Event()
        error: Exception | None = None
        thread = threading.Thread(target=self._serve, args=(ended,), name="token", daemon=True)
        thread.start()
        try:
            obstore.head(self._store, "x")
        except Exception as raised:
            error = raised
        finally:
            ended.set()
            thread.join()
            del self._server.see  # it refers to this object, which would not end
        if not self._is_seen:
            raise self._failed(error or RuntimeError("obstore sent no request"))
        if self._authorization is not None and not self._authorization.startswith("Bearer "):
            what = (
                "The environment has an account's key where a token is needed; unset AZURE_STORAGE_ACCOUNT_KEY, "
                "AZURE_STORAGE_ACCESS_KEY and AZURE_STORAGE_MASTER_KEY, or name its account by "
                "AZURE_STORAGE_ACCOUNT_NAME, without a block"
            )
            raise source_error("bad_credentials", what, self._place)
        return self._authorization

    def _see(self, secret: str | None, authorization: str | None) -> None:
        """Take what a request has, if it is obstore's."""
        if secret is not None and compare_digest(secret.encode(), self._secret.encode()):
            self._is_seen, self._authorization = True, authorization

    def _serve(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self._server.handle_request()


def _require_no_proxy(place: str) -> None:
    """Raise SourceError if obstore would send its request, with the token, to a proxy."""
    proxies = getproxies()
    direct = {name.strip() for name in proxies.get("no", "").split(",")}
    if (proxies.get("http") or proxies.get("all")) and not direct & _NOT_PROXIED:
        what = (
            "The token is asked for through an address of this machine, for which the environment names a proxy; "
            "have the variable no_proxy name 127.0.0.1"
        )
        raise source_error("bad_credentials", what, place)


class _Server(HTTPServer):
    timeout = _LOOK
    see: Callable[[str | None, str | None], None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that was closed."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_HEAD(self) -> None:
        """Take the token, and say that there is nothing."""
        self.server.see(self.headers.get(_SECRET), self.headers.get("Authorization"))
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
