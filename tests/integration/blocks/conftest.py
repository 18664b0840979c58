"""The Prefect server, for the tests of saved blocks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.prefect_server import PrefectServer


@pytest.fixture
def in_prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The Prefect server, which this process uses."""
    with prefect_server.used():
        yield prefect_server
