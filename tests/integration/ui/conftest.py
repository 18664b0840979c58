"""A Prefect server with its UI, used by this process, and a browser on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.ui.browser import Browser, running_browser


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server with its UI for the whole test session."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect"), ui=True) as server:
        yield server


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server, used by this process."""
    with prefect_server.used():
        yield prefect_server


@pytest.fixture(scope="session")
def browser(prefect_server: PrefectServer) -> Iterator[Browser]:
    """Chromium at the server's UI; its pages are opened by the tests."""
    with running_browser(prefect_server.ui) as browser:
        yield browser
