"""A small real HTTP server of files in memory, which causes faults on request."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, cast
from urllib.parse import quote

from tests.integration.faults import reset
from tests.integration.servers import free_port

_TIMES = count(1_700_000_000)


@dataclass(frozen=True)
class Zeros:
    """So many zeros, of which a slice is in memory at most."""

    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes | Zeros:
        start, end, _ = part.indices(self.size)
        return bytes(end - start) if end - start <= 1 << 20 else Zeros(end - start)

    def __bytes__(self) -> bytes:
        return bytes(self.size)


@dataclass
class File:
    """A file of the server, and how it is served.

    Attributes:
        etag: The ETag with its quotes; None for none.
        modified: The time of Last-Modified, in seconds, or its text; None for none.
        length: What Content-Length says; None for the truth.
    """

    data: bytes | Zeros
    etag: str | None
    modified: int | str | None
    length: int | None = None


@dataclass
class Fault:
    """What happens to the next `left` requests that match.

    Attributes:
        status: Answered with that status and `headers`; 0 for the file.
        keep: Bytes of the body after which the connection is cut.
        hang: Nothing is answered until `release`.
        then: Called when the fault is met.
    """

    left: int = 1
    method: str = "GET"
    path: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep: int | None = None
    hang: bool = False
    then: Callable[[], object] = lambda: None


class HttpFiles:
    """The server: `files` by their paths, `faults`, and the `requests` that came."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.released = threading.Event()
        self.has_ranges = True
        self.refuses_head = False
        self.token: str | None = None
        self.port = free_port()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def url_of(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.url}/{quote(name, safe='/')}"

    def put(self, name: str, data: bytes, *, weak: bool = False) -> str:
        """Create or replace a file, which has another time and ETag than before; return its URL."""
        at = next(_TIMES)
        etag = f'"{hashlib.sha256(data).hexdigest()[:12]}-{at}"'
        self.files[f"/{quote(name, safe='/')}"] = File(data, f"W/{etag}" if weak else etag, at)
        return self.url_of(name)

    def met(self, method: str, path: str, headers: dict[str, str]) -> Fault | None:
        """Record a request, and return the fault that hits it."""
        with self._lock:
            self.requests.append((method, path, headers))
            for fault in self.faults:
                fits = re.fullmatch(fault.method or ".*", method) and re.search(fault.path, path)
                if fault.left > 0 and fits:
                    fault.left -= 1
                    fault.then()
                    return fault
        return None

    def asked(self, method: str, path: str = "") -> list[dict[str, str]]:
        """Return the headers of the requests that match."""
        with self._lock:
            return [headers for how, at, headers in self.requests if how == method and re.search(path, at)]

    def start(self) -> None:
        """Serve, at the port of before."""
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse new connections, and reset the open ones."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        with self._lock:
            connections = [*self._open]
        for connection in connections:
            reset(connection)

    def note(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember the open connections."""
        with self._lock:
            (self._open.add if is_open else self._open.discard)(connection)


@contextmanager
def http_files() -> Iterator[HttpFiles]:
    """Run a server without files."""
    server = HttpFiles()
    server.start()
    try:
        yield server
    finally:
        server.released.set()
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, owner: HttpFiles) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", owner.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections, as the tests cause them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> HttpFiles:
        return cast(_Server, self.server).owner

    def setup(self) -> None:
        super().setup()
        self.owner.note(self.connection, is_open=True)

    def finish(self) -> None:
        self.owner.note(self.connection, is_open=False)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.owner.met(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        if fault is not None and fault.hang:
            self.owner.released.wait()
            self.close_connection = True
            reset(self.connection)
        elif fault is not None and fault.status:
            self._answer(fault.status, fault.headers, fault.body)
        elif self.owner.token is not None and self.headers.get("Authorization") != f"Bearer {self.owner.token}":
            self._answer(401, {}, b"<html>Who are <b>you</b>?</html>")
        elif self.command == "HEAD" and self.owner.refuses_head:
            self._answer(405, {}, b"")
        elif (file := self.owner.files.get(self.path)) is None:
            self._answer(404, {}, b"Nothing here.")
        else:
            self._serve(file, fault)

    do_GET = do_HEAD = do_PROPFIND = _handle  # noqa: N815

    def _serve(self, file: File, fault: Fault | None) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        if file.etag is not None:
            headers["ETag"] = file.etag
        if isinstance(file.modified, str):
            headers["Last-Modified"] = file.modified
        elif file.modified is not None:
            headers["Last-Modified"] = format_datetime(datetime.fromtimestamp(file.modified, UTC), usegmt=True)
        if self.headers.get("If-Match") not in (None, file.etag):
            self._answer(412, {}, b"")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, file.etag, headers.get("Last-Modified"))
        if wanted and same and self.owner.has_ranges:
            first = int(wanted[1])
            headers["Content-Range"] = f"bytes {first}-{len(file.data) - 1}/{len(file.data)}"
            self._answer(206, headers, file.data[first:], fault)
            return
        self._answer(200, headers, file.data, fault, file.length)

    def _answer(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes | Zeros,
        fault: Fault | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "HEAD":
            return
        keep = len(body) if fault is None or fault.keep is None else fault.keep
        for at in range(0, keep, 1 << 18):
            self.wfile.write(bytes(body[at : min(keep, at + (1 << 18))]))
        if keep < len(body) or (length is not None and length > len(body)):
            self.wfile.flush()
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
