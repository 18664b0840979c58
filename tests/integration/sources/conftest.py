"""Databases of one kind."""

from __future__ import annotations

import pytest

from tests.integration.databases import Database, MariaDb, postgres_database


@pytest.fixture
def postgresql() -> Database:
    """An empty database of PostgreSQL."""
    return postgres_database()


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> Database:
    """An empty database of MariaDB."""
    return mariadb_server.database()
