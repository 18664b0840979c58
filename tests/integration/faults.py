"""An HTTP proxy that causes faults on request, between the code under test and a real server."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast
from urllib.parse import urlsplit

_STEP = 1 << 16
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "trailer", "upgrade"}
Kind = Literal["fail", "truncate", "drop", "lose", "hang"]


@dataclass
class Fault:
    """A kind of fault, the number of times, and the requests that it hits."""

    kind: Kind
    left: int
    status: int = 503
    code: str = "SlowDown"
    retry_after: int | None = None
    keep: int | None = None
    share: float = 1.0
    method: str = ""
    path: str = ""
    caused: threading.Event = field(default_factory=threading.Event)
    _chance: random.Random = field(default_factory=lambda: random.Random(1), repr=False)

    def hits(self, method: str, path: str) -> bool:
        """Return whether the fault hits this request."""
        return (
            self.left > 0
            and re.fullmatch(self.method or ".*", method) is not None
            and re.search(self.path, path) is not None
            and (self.share >= 1.0 or self._chance.random() < self.share)
        )


class FaultProxy:
    """A proxy that forwards requests to `target_url` unchanged, except for the requested faults.

    `url` is its address. `requests` lists (method, path with query) in the order of arrival, and `times` when each came
    by the monotonic clock; `bytes_up` and
    `bytes_down` count the bytes of the forwarded bodies, and `hits` the faults that were caused. A fault hits the next
    `n` requests that match; `method` and `path` are regular expressions, and `path` is searched in the path with its
    query. `rewrite`, if set, makes the body of an answer to a GET of the path and the server's body; `restate` makes
    the value of a header of any answer of the path, the header's name in small letters and its value, or leaves it out.
    Use the proxy as a context manager, or call `close`.
    """

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        self.target = (target.hostname or "127.0.0.1", target.port or 80)
        self.requests: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.rewrite: Callable[[str, bytes], bytes] | None = None
        self.restate: Callable[[str, str, str], str | None] | None = None
        self.hits = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        self._faults: list[Fault] = []
        self._sockets: set[socket.socket] = set()
        self._port = 0
        self._server: _Server | None = None
        self.up()
        self.url = f"http://127.0.0.1:{self._port}"

    def fail_next(
        self,
        n: int = 1,
        status: int = 503,
        code: str = "SlowDown",
        *,
        share: float = 1.0,
        retry_after: int | None = None,
        method: str = "",
        path: str = "",
    ) -> None:
        """Answer `n` requests (at random, if `share` is below 1) with an S3 error, and do not forward them.

        `retry_after` are the seconds that the answer states.
        """
        fault = Fault("fail", n, status=status, code=code, share=share, method=method, path=path)
        fault.retry_after = retry_after
        self._add(fault)

    def truncate_next(self, n: int = 1, keep: int | None = None, *, method: str = "GET", path: str = "") -> None:
        """Cut the answer's body after `keep` bytes (None: half) and close the connection."""
        self._add(Fault("truncate", n, keep=keep, method=method, path=path))

    def drop_next(self, n: int = 1, *, method: str = "", path: str = "") -> None:
        """Reset the connection instead of answering; the request does not reach the server."""
        self._add(Fault("drop", n, method=method, path=path))

    def lose_answer(self, n: int = 1, *, method: str = "", path: str = "") -> None:
        """Forward the request, wait for the server's answer, and reset the connection instead of answering."""
        self._add(Fault("lose", n, method=method, path=path))

    def hang_next(self, n: int = 1, *, method: str = "", path: str = "") -> threading.Event:
        """Hold the request until `release` or `close`, then reset the connection. Signal when one is held."""
        fault = Fault("hang", n, method=method, path=path)
        self.released.clear()
        self._add(fault)
        return fault.caused

    def release(self) -> None:
        """End the held requests, and hold no more until the next `hang_next`."""
        self.released.set()

    def clear(self) -> None:
        """Cancel the remaining faults, and reset the counts."""
        with self.lock:
            self._faults.clear()
            self.requests.clear()
            self.times.clear()
            self.hits = self.bytes_up = self.bytes_down = 0

    def count(self, method: str = "", path: str = "") -> int:
        """Return the number of requests that match."""
        fits = Fault("fail", 1, method=method, path=path)
        with self.lock:
            return sum(fits.hits(*request) for request in self.requests)

    def down(self) -> None:
        """Refuse new connections, and reset the open ones."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        with self.lock:
            sockets = list(self._sockets)
        for open_socket in sockets:
            reset(open_socket)

    def up(self) -> None:
        """Accept connections again, on the same port."""
        if self._server is not None:
            return
        self._server = _Server(self, self._port)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop for good."""
        self.release()
        self.down()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def met(self, method: str, path: str) -> Fault | None:
        """Record a request, and return the fault that hits it."""
        with self.lock:
            self.requests.append((method, path))
            self.times.append(time.monotonic())
            for fault in self._faults:
                if fault.hits(method, path):
                    fault.left -= 1
                    self.hits += 1
                    fault.caused.set()
                    return fault
        return None

    def passed(self, up: int = 0, down: int = 0) -> None:
        """Count forwarded bytes of bodies."""
        with self.lock:
            self.bytes_up += up
            self.bytes_down += down

    def note_socket(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember the open connections, which `down` must reset."""
        with self.lock:
            (self._sockets.add if is_open else self._sockets.discard)(connection)

    def _add(self, fault: Fault) -> None:
        with self.lock:
            self._faults.append(fault)


def reset(connection: socket.socket) -> None:
    """Close at once, so that the other side sees a reset."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, proxy: FaultProxy, port: int) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections, as the proxy causes them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def proxy(self) -> FaultProxy:
        return cast(_Server, self.server).proxy

    def setup(self) -> None:
        super().setup()
        self.proxy.note_socket(self.connection, is_open=True)

    def finish(self) -> None:
        self.proxy.note_socket(self.connection, is_open=False)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        body = self._body()
        fault = self.proxy.met(self.command, self.path)
        kind = fault.kind if fault else ""
        if kind == "hang":
            self.proxy.released.wait()
        if kind in ("hang", "drop"):
            self._reset()
            return
        if fault and kind == "fail":
            self._fail(fault)
            return
        try:
            upstream = http.client.HTTPConnection(*self.proxy.target, timeout=120)
            self._pass_on(upstream, body)
            answer = upstream.getresponse()
        except OSError:
            self._reset()
            return
        with contextlib.closing(upstream):
            if kind == "lose":
                answer.read()
                self._reset()
            elif self.proxy.rewrite is not None and self.command == "GET" and not fault:
                self._rewritten(answer, self.proxy.rewrite)
            else:
                self._answer(answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_PROPFIND = _handle  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _pass_on(self, upstream: http.client.HTTPConnection, body: bytes) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                upstream.putheader(name, value)
        if body or "Content-Length" in self.headers or self.command in ("PUT", "POST"):
            upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body or None)
        self.proxy.passed(up=len(body))

    def _answer(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        self.send_response_only(answer.status, answer.reason)
        self._pass_back(answer, _HOP_BY_HOP)
        length = answer.getheader("Content-Length")
        without_body = self.command == "HEAD" or answer.status in (204, 304)
        chunked = length is None and not without_body
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        keep = -1
        if fault:
            keep = fault.keep if fault.keep is not None else int(length or 2 * _STEP) // 2
        while not without_body and keep and (data := answer.read(min(_STEP, keep) if keep > 0 else _STEP)):
            keep -= len(data) if keep > 0 else 0
            self.proxy.passed(down=len(data))  # counted before the receiver can read the count
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
        if fault:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _rewritten(self, answer: http.client.HTTPResponse, rewrite: Callable[[str, bytes], bytes]) -> None:
        body = rewrite(self.path, answer.read())
        self.send_response_only(answer.status, answer.reason)
        self._pass_back(answer, _HOP_BY_HOP | {"content-length"})
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_back(self, answer: http.client.HTTPResponse, without: Set[str]) -> None:
        restate = self.proxy.restate
        for name, value in answer.getheaders():
            if name.lower() not in without:
                stated = value if restate is None else restate(self.path, name.lower(), value)
                if stated is not None:
                    self.send_header(name, stated)

    def _fail(self, fault: Fault) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>Asked for by a test.</Message></Error>"
        body = b"" if self.command == "HEAD" else text.encode()
        self.send_response(fault.status)
        if fault.retry_after is not None:
            self.send_header("Retry-After", str(fault.retry_after))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.close_connection = True
        reset(self.connection)
