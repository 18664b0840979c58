"""Requests to Prefect's server that are repeated while its database is busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_collect.runs.requests import sent


@contextmanager
def answering(statuses: list[int]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that answers with these statuses, then always the last, and its requests."""
    got: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = statuses[min(len(got), len(statuses) - 1)]
            got.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("statuses", "answer", "requests"),
    [
        ([201], 201, 1),
        ([503, 503, 201], 201, 3),
        ([503, 404], 404, 2),
        ([409], 409, 1),
        ([503], None, 6),
        ([500], None, 1),
        ([429], None, 1),
    ],
)
def test_a_busy_server_is_asked_again(statuses: list[int], answer: int | None, requests: int) -> None:
    """A 503 is repeated, six tries in all; a final status is returned; all else is left to Prefect's client."""
    with (
        answering(statuses) as (url, got),
        temporary_settings({PREFECT_API_URL: url}),
        get_client(sync_client=True) as client,
    ):
        found = sent(client, "POST", "/x/", {})
    assert (None if found is None else found.status_code) == answer
    assert len(got) == requests
