"""The answers to obstore's requests for a listing, as the server sent them.

obstore finds the credentials of Google and Azure in all the ways that the clouds have, and signs requests; but of a
page it passes on paths in place of keys, so that ``/a``, ``a`` and ``a/`` are one, and ``a//b`` is an error. So its
requests for pages go to a server of this process, which sends them on, signed as they are. The page is read here;
obstore gets one that holds no more than what leads to the next. The alternative is to find credentials and to sign
anew, for each kind that obstore knows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from urllib.request import getproxies
from xml.sax.saxutils import escape

import pycurl

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.documents import Documents
from prefect_collect.connectors.http.engine import Limits, curl_error
from prefect_collect.connectors.s3.page import MOST_BYTES, Page, wrong_page
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

_LOOK: Final = 0.05
_SECRET: Final = "x-prefect-collect-relay"
_OUR_OWN: Final = {"host", "connection", "accept-encoding", "content-length", _SECRET}
_NOT_PROXIED: Final = {"127.0.0.1", "127.0.0.0/8"}
"""The entries of ``no_proxy`` by which obstore asks no proxy for this machine; it knows no ``*``, as Python does."""

_LENGTH: Final = frozenset({b"content-length"})
_AGAIN, _NEVER_AGAIN = 503, 400
"""With which status obstore asks again after a pause, and with which it does not."""


class Relay:
    """The server; a context manager.

    Args:
        address: The address of the cloud's server.
        place: The location, in which messages end.
        limits: The limits of each request.
        seconds: The seconds within which a page must be whole.
        read: Returns the page of a body, or raises SourceError.
        more: What is added to the query.

    Attributes:
        url: Its address, for obstore.
        headers: The headers that each of obstore's requests must have: a secret, as every user of this machine may send
            requests to the address.
        pages: The pages that have come.
        error: Why the last answer was none; None if it was a page, or an error that obstore got as it was.
    """

    def __init__(
        self, address: str, place: str, limits: Limits, seconds: float, read: Callable[[bytes], Page], more: str = ""
    ) -> None:
        parts = urlsplit(address)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._place, self._read, self._more = place, read, more
        self._documents = Documents(limits, MOST_BYTES, seconds)
        self._stop, self._unwanted, self._one = current_stop(), threading.Event(), threading.Lock()
        self._secret = token_urlsafe(24)
        self.headers = {_SECRET: self._secret}
        self.pages: deque[Page] = deque()
        self.error: SourceError | None = None

    def __enter__(self) -> Relay:
        """Begin to listen. Raise SourceError if obstore would send its requests to a proxy instead."""
        proxies = getproxies()
        direct = {name.strip() for name in proxies.get("no", "").split(",")}
        if (proxies.get("http") or proxies.get("all")) and not direct & _NOT_PROXIED:
            what = (
                "The listing is asked for through an address of this machine, for which the environment names a proxy; "
                "have the variable no_proxy name 127.0.0.1"
            )
            raise source_error("source_error", what, self._place)
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}{self._path}"
        threading.Thread(target=self._server.serve_forever, args=(_LOOK,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, whether a request is under way or not."""
        self._unwanted.set()
        self._server.shutdown()
        self._server.server_close()
        with self._one:
            self._documents.close()

    def knows(self, secret: str | None) -> bool:
        """Return whether a request is obstore's."""
        return secret is not None and compare_digest(secret.encode(), self._secret.encode())

    def answer(self, target: str, lines: list[str]) -> tuple[int, bytes]:
        """Send a request on, and return the status and the body for obstore."""
        with self._one:
            if self._unwanted.is_set():
                return _NEVER_AGAIN, b""
            try:
                status, body = self._sent(target + self._more, lines)
                self.error = None
                if status != 200:
                    return status, body
                page = self._read(body)
            except SourceError as error:
                self.error = error
                return (_NEVER_AGAIN if self._stop.canceled else _AGAIN), b""
            self.pages.append(page)
        query = parse_qs(urlsplit(target).query)
        made = _azure if "comp" in query else _google
        return 200, made(escape(query.get("prefix", [""])[0]), escape(str(page.token or ""))).encode()

    def _sent(self, target: str, lines: list[str]) -> tuple[int, bytes]:
        found = self._documents.get(self._origin + target, lines, self._unwanted)
        status, _ = found.head(_LENGTH)
        if found.error is not None and (number := found.error[0]) == Documents.LATE:
            raise source_error("timeout", f"A page of the listing: {found.error[1]}", self._place)
        if found.error is not None and status == 200 and number in (pycurl.E_PARTIAL_FILE, pycurl.E_FILESIZE_EXCEEDED):
            raise wrong_page(found.error[1], self._place)
        if found.error is not None and status in (0, 200):
            raise curl_error(*found.error, self._place)
        return status, b"".join(found.body)


def _google(prefix: str, token: str) -> str:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        f"<ListBucketResult><Contents><Key>{prefix}page</Key><LastModified>2000-01-01T00:00:00Z</LastModified>"
        f'<ETag>"page"</ETag><Size>1</Size></Contents>{more}</ListBucketResult>'
    )


def _azure(prefix: str, token: str) -> str:
    return (
        f"<EnumerationResults><Blobs><Blob><Name>{prefix}page</Name><Properties><Content-Length>1</Content-Length>"
        "<Last-Modified>Sat, 01 Jan 2000 00:00:00 GMT</Last-Modified><Content-Type>page</Content-Type>"
        f"<Etag>page</Etag></Properties></Blob></Blobs><NextMarker>{token}</NextMarker></EnumerationResults>"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that obstore has closed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer obstore, and refuse what others ask for."""
        if not self.server.relay.knows(self.headers.get(_SECRET)) or not self.path.startswith("/"):
            self.send_error(403)
            return
        lines = [f"{name}: {text}" for name, text in self.headers.items() if name.lower() not in _OUR_OWN]
        status, body = self.server.relay.answer(self.path, [*lines, "Accept-Encoding: identity"])
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
