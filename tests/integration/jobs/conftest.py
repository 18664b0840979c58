"""A Prefect server that this process uses, and small sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.jobs.every_status import Desk, opened_desk
from tests.integration.prefect_server import PrefectServer


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server, used by this process."""
    with prefect_server.used():
        yield prefect_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of five files."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(5):
        (root / f"{n}.txt").write_text(f"content {n}")
    return root


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The path of a staging store."""
    return str(tmp_path / "store")


@pytest.fixture
def desk(prefect: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A desk, which brings jobs to every status."""
    with opened_desk(tmp_path / "desk") as desk:
        yield desk
