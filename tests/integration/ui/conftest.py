"""A Prefect server with its UI, the served deployments, and a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect.runs.names import COLLECTION_FLOW, DEPLOYMENT, EXPORT_FLOW
from tests import forked
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.servers import end_process
from tests.integration.ui.browser import Browser, running_browser

_SERVE = "from prefect_collect.deployments.serving import serve; serve()"


@dataclass(frozen=True)
class Served:
    """The ids of the deployments that a child process serves."""

    collection: UUID
    export: UUID


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server with its UI for the module's tests."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect"), ui=True) as server:
        yield server


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server, used by this process."""
    with prefect_server.used():
        yield prefect_server


@pytest.fixture(scope="module")
def browser(prefect_server: PrefectServer) -> Iterator[Browser]:
    """Chromium at the server's UI; the tests open its pages."""
    with running_browser(prefect_server.ui) as browser:
        yield browser


@pytest.fixture(scope="module")
def served(prefect_server: PrefectServer, browser: Browser) -> Iterator[Served]:
    """The deployments, served as `prefect-collect serve` does."""
    log = prefect_server.home / "serve.log"
    with log.open("wb") as output:
        process = forked.Popen(
            [sys.executable, "-c", _SERVE], env=prefect_server.environment(), stdout=output, stderr=output
        )

    def deployed() -> Served | None:
        assert process.poll() is None, log.read_text(errors="replace")
        with prefect_server.used(), get_client(sync_client=True) as client:
            found = [one for one in client.read_deployments() if one.name == DEPLOYMENT]
            ids = {client.read_flow(one.flow_id).name: one.id for one in found}
        if not ids.keys() >= {COLLECTION_FLOW, EXPORT_FLOW}:
            return None
        return Served(ids[COLLECTION_FLOW], ids[EXPORT_FLOW])

    try:
        yield browser.wait(deployed, lambda: f"the deployments: {log.read_text(errors='replace')}")
    finally:
        end_process(process)
