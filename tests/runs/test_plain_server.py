"""Requests to Prefect's server without Prefect's client: what is not a plain answer is left to Prefect's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from prefect_collect.runs.plain_server import AskPrefect, connected
from prefect_collect.runs.prefect_settings import ConfiguredServer
from tests.support.local_http import serving


@dataclass(frozen=True)
class Answer:
    """An answer of a server.

    Attributes:
        status: Its status; 0 for none, after which the connection is closed.
        body: Its body.
        missing: How many bytes of the body are announced, but not sent, before the connection is closed.
        closes: Whether the connection is closed after it, unannounced.
    """

    status: int
    body: bytes
    missing: int = 0
    closes: bool = False


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    """Yield the address of a server, and what it was asked: line, login and body.

    It gives these answers one after the other, and the last one to each further request.
    """
    asked: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((f"{self.command} {self.path}", self.headers["Authorization"], sent))
            answer = answers[min(len(asked), len(answers)) - 1]
            self.close_connection = answer.status == 0 or answer.missing > 0 or answer.closes
            if answer.status:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body) + answer.missing))
                self.end_headers()
                self.wfile.write(answer.body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield f"{address}/below/api", asked


def test_requests_of_one_connection() -> None:
    """The path goes below the address's, a body as JSON; user and password go before the key, as Prefect has it."""
    with answering(Answer(200, b'{"a": 1}')) as (url, asked):
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
    missing = Answer(404, b'{"detail": "Flow run not found"}')
    with answering(missing) as (url, _), connected(ConfiguredServer(url)) as server:
        assert server.ask("GET", "/flow_runs/1") is None
        with pytest.raises(AskPrefect):
            server.ask("POST", "/flow_runs/filter", {})


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status, b"{}") for status in (307, 401, 403, 429, 503)),
        Answer(200, b"<html>"),
        Answer(200, b"{}", missing=1),
        Answer(0, b""),
    ],
    ids=str,
)
def test_any_other_answer(answer: Answer) -> None:
    """A refusal, a redirection, a busy server, what is no JSON, or an answer that breaks off is left to Prefect's
    client, and no request is sent twice.
    """
    with answering(answer) as (url, asked), connected(ConfiguredServer(url)) as server:
        for method in ("GET", "POST"):
            with pytest.raises(AskPrefect):
                server.ask(method, "/flow_runs/filter")
    assert len(asked) == 2


def test_a_connection_that_the_server_has_closed() -> None:
    """A request goes through another connection if the server has closed the one that it had answered on."""
    with answering(Answer(200, b"[1]", closes=True)) as (url, asked), connected(ConfiguredServer(url)) as server:
        for _ in range(3):
            assert server.ask("POST", "/flow_runs/filter", {}) == [1]
    assert len(asked) == 3


@pytest.mark.parametrize("broken", [Answer(0, b""), Answer(200, b"[", missing=1)], ids=str)
def test_a_server_that_answers_no_more(broken: Answer) -> None:
    """After an answer, a request is sent twice at most, and once if its answer breaks off."""
    with answering(Answer(200, b"[1]"), broken) as (url, asked), connected(ConfiguredServer(url)) as server:
        assert server.ask("POST", "/flow_runs/filter", {}) == [1]
        with pytest.raises(AskPrefect):
            server.ask("POST", "/flow_runs/filter", {})
    assert len(asked) == (2 if broken.status else 3)


def test_what_cannot_be_connected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is none, and certificates that are missing, are left to Prefect's client."""
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "cacert.pem"))
    for url in ("http://[1:2]/api", "http://a:port/api", "https://a/api"):
        with pytest.raises(AskPrefect), connected(ConfiguredServer(url)):
            pass
