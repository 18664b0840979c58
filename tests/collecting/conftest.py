"""Collections in many shards."""

from __future__ import annotations

import pytest

from prefect_collect.collecting import enumeration


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three items, so that few items make many shards."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)
