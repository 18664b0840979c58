"""Databases of one kind, and the program rclone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.databases import Database, MariaDb, postgres_database
from tests.integration.servers import find_program


@pytest.fixture
def postgresql() -> Database:
    """An empty database of PostgreSQL."""
    return postgres_database()


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> Database:
    """An empty database of MariaDB."""
    return mariadb_server.database()


@pytest.fixture(scope="module")
def rclone_installed() -> Iterator[None]:
    """The tests' rclone is the one that is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(Path(find_program("rclone")).parent), os.environ["PATH"]]))
        yield
