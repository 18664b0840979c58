"""What tests of artifacts on the shared server need."""

from __future__ import annotations

import pytest

from prefect_collect.pages import snapshot


@pytest.fixture
def every_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Collections Snapshot names all data sources, also those of few bytes, however many other tests have used."""
    monkeypatch.setattr(snapshot, "SOURCES_SHOWN", 1_000_000)
