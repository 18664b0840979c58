"""A Prefect server that this process uses, and small sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.connectors.buckets import listing
from prefect_collect.threads.retry_policy import RetryPolicy
from tests.integration.hostile import HostileStore
from tests.integration.jobs.every_status import Desk, opened_desk
from tests.integration.jobs.hostile_buckets import OBJECTS
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


@pytest.fixture(scope="module")
def one_bucket() -> Iterator[HostileStore]:
    """A hostile bucket for all tests of a module, as the clients of each one take 100 ms to make."""
    with HostileStore({}) as hostile:
        yield hostile


@pytest.fixture
def bucket(one_bucket: HostileStore) -> HostileStore:
    """A hostile bucket of five objects, two on a page."""
    one_bucket.be_honest(dict(OBJECTS))
    return one_bucket


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a page twice at most, with almost no pause."""
    monkeypatch.setattr(listing, "_RETRY", RetryPolicy(tries=2, wait_initial=0.001))
