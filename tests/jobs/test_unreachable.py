"""Jobs asked for where no Prefect server answers, or one that refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_collect import FileSource, jobs
from prefect_collect.cli._exits import FAILED
from prefect_collect.cli._running import explain
from prefect_collect.errors import PrefectError, PrefectUnavailable

ID = str(uuid4())


def draft() -> jobs.Job:
    """A draft of a collection."""
    return jobs.draft_collection(FileSource(name="files", root=Path("/")), store="/nonexistent")


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
    """The address of a port that nobody listens on, taken so that nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/api"


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with the status that the path begins with, in words."""

    def _refuse(self) -> None:
        body = b'{"detail": "Not for you"}'
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = _refuse  # noqa: N815 (what http.server calls)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of a server that refuses."""
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_port(name: str) -> None:
    """Each call raises PrefectUnavailable, which says which address, and what to do; a later try may succeed."""
    with closed() as url, temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(PrefectUnavailable, match="prefect server start") as caught:
            CALLS[name]()
        assert url in str(caught.value)
        assert caught.value.transient
        assert caught.value.__cause__ is not None
        assert explain(caught.value) == (explain(caught.value.__cause__)[0], FAILED)


def test_a_server_that_refuses(refusing: str) -> None:
    """What the server refuses raises PrefectError with its words, and no later try would help."""
    with temporary_settings({PREFECT_API_URL: f"{refusing}/403/api"}):
        with pytest.raises(PrefectError, match="Not for you") as caught:
            jobs.get(ID)
        assert not isinstance(caught.value, PrefectUnavailable)
        assert caught.value.__cause__ is not None
        assert explain(caught.value) == (explain(caught.value.__cause__)[0], FAILED)
