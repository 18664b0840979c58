"""Stores in directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.stores import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store in an existing directory."""
    (tmp_path / "store").mkdir()
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """A second store."""
    return DirectoryStore(tmp_path / "other")
