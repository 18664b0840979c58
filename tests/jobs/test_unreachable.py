"""Calls of the jobs API when Prefect's server does not answer, or refuses the request."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from prefect_collect import FileSource, collect, jobs
from prefect_collect.cli._exits import FAILED
from prefect_collect.cli._run_command import explain
from prefect_collect.errors import PrefectError, PrefectUnavailable
from prefect_collect.runs.queries import kinds_of_flows
from prefect_collect.runs.refusals import prefect_error, prefect_errors
from tests.forked import run
from tests.integration.servers import free_port
from tests.support.local_http import serving

ID = str(uuid4())


def draft() -> jobs.Job:
    """Draft a collection."""
    return jobs.draft_collection(FileSource(name="files", root=Path("/nonexistent/root")), store="/nonexistent/store")


def collected() -> Any:
    """Run a collection in this process."""
    return collect(FileSource(name="files", root=Path("/nonexistent/root")), store="/nonexistent/store")


CALLS: dict[str, Callable[[], Any]] = {
    "get": lambda: jobs.get(ID),
    "list_jobs": jobs.list_jobs,
    "wait": lambda: jobs.wait(ID),
    "start": lambda: jobs.start(ID),
    "retry": lambda: jobs.retry(ID),
    "cancel": lambda: jobs.cancel(ID),
    "delete": lambda: jobs.delete(ID),
    "draft_collection": draft,
    "edit_draft": lambda: jobs.edit_draft(ID, name="other"),
}


@contextmanager
def closed() -> Iterator[str]:
    """Yield an address at which no server listens; its port is bound, so that none can start there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/api"


class Refusing(BaseHTTPRequestHandler):
    """Answers every request with the status that its path begins with, and with `body`."""

    body = b'{"detail": "Not for you"}'

    def _refuse(self) -> None:
        body = self.body
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _refuse  # noqa: N815 (what http.server calls)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """Yield the address of a server that refuses."""
    with serving(HTTPServer(("127.0.0.1", 0), Refusing)) as address:
        yield address


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_port(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call raises PrefectUnavailable, a temporary error whose message names the address and what to do.

    Prefect's client connects four times, between which it waits for 1.5 s in all; here it hardly waits.
    """
    monkeypatch.setattr("httpcore._sync.connection.RETRIES_BACKOFF_FACTOR", 0.001)
    monkeypatch.setattr("httpcore._async.connection.RETRIES_BACKOFF_FACTOR", 0.001)
    with closed() as url, temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(PrefectUnavailable, match="prefect server start") as caught:
            CALLS[name]()
        assert url in str(caught.value)
        assert caught.value.transient
        assert caught.value.__cause__ is not None
        assert explain(caught.value) == (explain(caught.value.__cause__)[0], FAILED)


@pytest.mark.parametrize(
    ("url", "variable", "says"),
    [
        ("http://127.0.0.1:4200/api", True, "unset PREFECT_API_URL, then `prefect-collect serve` (or `prefect server"),
        ("http://127.0.0.1:4711/api", True, "then `prefect-collect serve --port 4711` (or `prefect server start --po"),
        (
            "http://localhost:4711/api",
            False,
            "again: `prefect server start --port 4711`. Or go on without it, after `p",
        ),
        ("http://prefect.example/api", True, "See that it runs there: `prefect-collect serve` (or `prefect server st"),
    ],
)
def test_how_to_go_on(url: str, variable: bool, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to start the server again, and how to look at jobs without it, as it was configured."""
    if variable:
        monkeypatch.setenv("PREFECT_API_URL", url)
    else:
        monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings({PREFECT_API_URL: url}):
        error = prefect_error(httpx.ConnectError("refused", request=httpx.Request("GET", f"{url}/health")))
    assert isinstance(error, PrefectUnavailable)
    assert says in str(error)
    assert "`show`, `jobs`, `preview`, `report` and `download` then read the staging store" in str(error)


_SLOW: Final = """
import sys
from prefect.server.api.server import SubprocessASGIServer
from prefect_collect.errors import PrefectUnavailable
from prefect_collect.runs.refusals import prefect_errors

server = SubprocessASGIServer(port=int(sys.argv[1]))
try:
    with prefect_errors():
        server.start()
except PrefectUnavailable as error:
    print(error)
finally:
    server.stop()
"""


def test_a_server_of_its_own_that_is_slow() -> None:
    """A server that Prefect starts for the call, and that does not answer in time, is told from one at an address.

    It runs in a process that has imported Prefect's server, which takes a second.
    """
    environment = {**os.environ, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "0"}
    done = run([sys.executable, "-c", _SLOW, str(free_port())], env=environment, capture_output=True, check=True)
    assert b"STARTUP_TIMEOUT_SECONDS=0]" in done.stdout


def test_a_server_that_refuses(refusing: str) -> None:
    """A refusal raises PrefectError with the server's message; it is no temporary error."""
    with temporary_settings({PREFECT_API_URL: f"{refusing}/403/api"}):
        with pytest.raises(PrefectError, match="Not for you") as caught:
            jobs.get(ID)
        assert not isinstance(caught.value, PrefectUnavailable)
        assert caught.value.__cause__ is not None
        assert explain(caught.value) == (explain(caught.value.__cause__)[0], FAILED)


ANSWERS = {
    "its messages, not the request that it repeats": (
        422,
        b'{"exception_message": "Invalid request received.", "exception_detail": [{"loc": ["body", "parameters"], '
        b'"msg": "Value error, too large", "input": "s3cret"}], "request_body": {"password": "s3cret"}}',
        PrefectError, r"refused the request \(422\): parameters: too large\.",
    ),
    "a lock": (401, b'{"exception_message": "Unauthorized"}', PrefectError, "denied access .*PREFECT_API_AUTH_STRING"),
    "a wrong address": (404, b'{"detail": "Not Found"}', PrefectError, "does not know this address .*ends in /api"),
    "long words": (409, b'{"detail": "' + b"x" * 5000 + b'"}', PrefectError, "refused the request .409.: xxx"),
    "no words": (418, b"", PrefectError, "refused the request .418.: I'm a Teapot"),
    "a page": (400, b"<html>s3cret</html>", PrefectError, "refused the request .400.: Bad Request"),
    "a failure": (500, b'{"exception_message": "Internal Server Error"}', PrefectUnavailable, "failed .500.*try again"),
}  # fmt: skip
"""By case: the status and body of the server's answer, the error that is raised, and its message."""


@pytest.mark.parametrize("case", ANSWERS)
def test_what_a_server_answers(refusing: str, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The error's message is short, and repeats the server's message, never the request; a 5xx is a temporary error."""
    status, body, kind, said = ANSWERS[case]
    monkeypatch.setattr(Refusing, "body", body)
    with temporary_settings({PREFECT_API_URL: f"{refusing}/{status}/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        for call in (
            CALLS["list_jobs"],
            lambda: collect(FileSource(name="files", root=Path("/nonexistent/root")), store="/nonexistent/store"),
        ):
            with pytest.raises(kind, match=said) as caught:
                call()
            assert type(caught.value) is kind
            assert "s3cret" not in str(caught.value)
            assert len(str(caught.value)) < 600


def test_what_is_no_prefect(refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web page with a good status raises PrefectError, which says that the address is wrong."""
    monkeypatch.setattr(Refusing, "body", b"<!doctype html><title>Prefect</title>")
    here = temporary_settings({PREFECT_API_URL: f"{refusing}/200/api"})
    with here, pytest.raises(PrefectError, match="ends in /api"):
        jobs.list_jobs()


@pytest.mark.parametrize("body", [b"<!doctype html>", b'[{"id": "no id"}]', b'{"detail": "?"}'])
def test_kinds_of_flows_of_what_is_no_prefect(refusing: str, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """An answer of good status that is no list of flows raises PrefectError when the kinds of flows are read."""
    monkeypatch.setattr(Refusing, "body", body)
    with (
        temporary_settings({PREFECT_API_URL: f"{refusing}/200/api"}),
        get_client(sync_client=True) as client,
        pytest.raises(PrefectError, match="not a Prefect server"),
        prefect_errors(),
    ):
        kinds_of_flows(client)


def test_an_error_of_another_server(refusing: str) -> None:
    """An HTTP error of another server, such as a data source's, is not turned into an error of Prefect."""
    elsewhere = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    with elsewhere, pytest.raises(httpx.HTTPStatusError), prefect_errors():
        httpx.get(f"{refusing}/403/x").raise_for_status()
