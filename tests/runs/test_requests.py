"""Requests to Prefect's server that are repeated while its database is busy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from prefect_collect.runs.refusals import prefect_error
from prefect_collect.runs.requests import sent
from prefect_collect.runs.server import trying_once, wait_for_server
from prefect_collect.runs.trouble import trouble_of
from tests.support.local_http import serving


@contextmanager
def answering(statuses: list[int]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that answers with these statuses, then always the last, and its requests."""
    got: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            status = statuses[min(len(got), len(statuses) - 1)]
            got.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST  # noqa: N815  # the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as address:
        yield f"{address}/api", got


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


def test_a_request_is_tried_once() -> None:
    """Within `trying_once` a client of Prefect sends a request that fails once; all other settings are as before."""
    with answering([503]) as (url, got), temporary_settings({PREFECT_API_URL: url}):
        with temporary_settings(updates={PREFECT_CLIENT_MAX_RETRIES: 0}) as wanted:
            pass
        with trying_once(), get_client(sync_client=True) as client:
            assert get_current_settings() == wanted
            with pytest.raises(PrefectHTTPStatusError):
                client.request("GET", "/flow_runs/{id}", path_params={"id": "x"})
        assert PREFECT_CLIENT_MAX_RETRIES.value() > 0
    assert got == ["/api/flow_runs/x"]


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([503, 200], []),
        ([503, 503, 200], []),
        (
            [503, 503, 503, 503, 200],
            [
                "Job 7 waits up to 900 s for Prefect's server, which is busy (503). Ctrl-C or SIGTERM ends the "
                "process; the next job, or the recovery flow, then settles the job."
            ],
        ),
    ],
)
def test_only_a_server_that_stays_busy_is_warned_of(
    statuses: list[int], said: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait for a server that answers after two pauses says nothing; a longer one is said once, in plain words."""
    monkeypatch.setattr("prefect_collect.runs.server.sleep", lambda _: None)
    monkeypatch.setattr("prefect_collect.runs.server.monotonic", lambda: 0.0)
    logger = logging.getLogger("prefect.prefect_collect")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    with answering(statuses) as (url, got), temporary_settings({PREFECT_API_URL: url}):
        assert wait_for_server("7", lambda: 900.0).status_code == 200
    assert (len(got), [record.getMessage() for record in caplog.records]) == (len(statuses), said)


def test_what_the_server_does_is_said_in_words() -> None:
    """An answer is named by its status, without its text; only what did not answer "does not answer"."""
    request = httpx.Request("GET", "http://server/api")

    def trouble(status: int) -> str:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            httpx.Response(status, request=request).raise_for_status()
        return trouble_of(caught.value)

    assert [trouble(status) for status in (503, 502, 500, 409)] == [
        "is busy (503)", "is not reached by the proxy before it (502)", "failed (500)", "refused the request (409)",
    ]  # fmt: skip
    assert trouble_of(httpx.ConnectError("refused")) == "does not answer: refused"
    assert trouble_of(httpx.ReadTimeout("")) == "does not answer: ReadTimeout"


@pytest.mark.parametrize(
    ("status", "said"), [(503, "is busy (503): Service Unavailable. Try again;"), (500, "failed (500):")]
)
def test_what_a_call_says_of_a_server_that_is_busy(status: int, said: str) -> None:
    """The error of a call says that the server is busy where it said so itself, else that it failed."""
    with pytest.raises(httpx.HTTPStatusError) as caught:
        httpx.Response(status, request=httpx.Request("GET", "http://server/api/x")).raise_for_status()
    with temporary_settings({PREFECT_API_URL: "http://server/api"}):
        assert f"Prefect's server {said}" in str(prefect_error(caught.value))
