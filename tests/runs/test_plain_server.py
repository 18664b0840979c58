"""Requests to Prefect's server without Prefect's client: what is not a plain answer is left to Prefect's client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from prefect_collect.runs.plain_server import AskPrefect, connected
from prefect_collect.runs.prefect_settings import ConfiguredServer


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    """Yield the address of a server that answers each request so, and what was asked: line, login and body.

    Status 0 closes the connection without an answer.
    """
    asked: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((f"{self.command} {self.path}", self.headers["Authorization"], sent))
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/below/api", asked
        finally:
            server.shutdown()
            thread.join()


def test_requests_of_one_connection() -> None:
    """The path goes below the address's, a body as JSON; user and password go before the key, as Prefect has it."""
    with answering(200, b'{"a": 1}') as (url, asked):
        for key, auth_string in ((None, None), ("pnu_1", None), ("pnu_1", "me:secret")):
            with connected(ConfiguredServer(url, key, auth_string)) as server:
                assert server.ask("GET", "/flow_runs/1") == {"a": 1}
                assert server.ask("POST", "/flow_runs/filter", {"limit": 1}) == {"a": 1}
    assert [login for _, login, _ in asked[::2]] == [None, "Bearer pnu_1", "Basic bWU6c2VjcmV0"]
    assert [(line, body) for line, _, body in asked[:2]] == [
        ("GET /below/api/flow_runs/1", b""),
        ("POST /below/api/flow_runs/filter", b'{"limit": 1}'),
    ]


def test_what_is_not_there() -> None:
    """A GET of what is not there is answered by None; a filter that is not there is no answer."""
    with answering(404, b'{"detail": "Flow run not found"}') as (url, _), connected(ConfiguredServer(url)) as server:
        assert server.ask("GET", "/flow_runs/1") is None
        with pytest.raises(AskPrefect):
            server.ask("POST", "/flow_runs/filter", {})


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (307, b""), (401, b"{}"), (403, b"{}"), (429, b""), (503, b"{}"), (0, b"")]
)
def test_any_other_answer(status: int, body: bytes) -> None:
    """A refusal, a redirection, a busy server, what is no JSON, or a broken connection is left to Prefect's client."""
    with answering(status, body) as (url, _), connected(ConfiguredServer(url)) as server:
        for method in ("GET", "POST"):
            with pytest.raises(AskPrefect):
                server.ask(method, "/flow_runs/filter")
