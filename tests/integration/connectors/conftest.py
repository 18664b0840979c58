"""Servers and folders that tests of several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.connectors.url_lists import anew
from tests.integration.http_files import HttpFiles, http_files


@pytest.fixture(scope="module")
def running_web() -> Iterator[HttpFiles]:
    """A server of files."""
    with http_files() as web:
        yield web


@pytest.fixture(scope="module")
def other_web() -> Iterator[HttpFiles]:
    """Another server, of another port."""
    with http_files() as web:
        yield web


@pytest.fixture
def web(running_web: HttpFiles) -> HttpFiles:
    """A server without files and faults."""
    return anew(running_web)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder."""
    root = tmp_path / "root"
    root.mkdir()
    return root
