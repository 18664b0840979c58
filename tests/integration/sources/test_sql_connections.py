"""The contract of sources, for databases whose connections break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, SqlSource
from prefect_collect.statuses import JobStatus
from tests.integration.databases import Database
from tests.integration.mail_proxy import MailProxy, mail_proxy
from tests.integration.sources.contract import BreakingContract
from tests.integration.sources.places import Fault, Place, collected
from tests.integration.sources.proxied import RelayedPlace
from tests.support.run_attempts import attempt, check_account, held, job_rows, unsuccessful

pytestmark = pytest.mark.integration


class SqlPlace(RelayedPlace):
    """A database behind a proxy: an item is a row, which is a slice."""

    def __init__(self, database: Database, proxy: MailProxy) -> None:
        self.database, self.proxy = database, proxy
        self.user = f"ann_{database.name[3:]}"
        if database.dialect == "postgresql":
            database.run(
                f"CREATE ROLE {self.user} LOGIN", "CREATE TABLE item (id serial PRIMARY KEY, data text)",
                f"GRANT SELECT ON item TO {self.user}",
            )  # fmt: skip
        else:
            database.run(
                f"CREATE USER {self.user} IDENTIFIED BY 'x'", f"GRANT SELECT ON {database.name}.* TO {self.user}",
                "CREATE TABLE item (id serial PRIMARY KEY, data longtext)",
            )  # fmt: skip

    def source(self) -> DataSource:
        """Return the database as a user sees it who may read."""
        url = self.database.url_of(self.user if self.database.dialect == "postgresql" else f"{self.user}:x")
        url = url.replace(f":{self.database.port}/", f":{self.proxy.port}/")
        return SqlSource(name="place", url=url, rows=1, connect_timeout=5, read_timeout=10)

    def put(self, name: str, data: bytes) -> None:
        """Add a row of that size, of digits that do not compress well."""
        text = data.hex()[: len(data)]
        self.database.run("INSERT INTO item (data) VALUES (?)", rows=[(text,)])

    def put_many(self, count: int) -> None:
        """Add rows; one item is the schema."""
        self.database.run("INSERT INTO item (data) VALUES (?)", rows=[(str(n),) for n in range(count - 1)])

    def cuts(self, fault: Fault) -> list[int]:
        """Return after how many bytes the next connections are cut; PostgreSQL's first one only asks the server."""
        if self.database.dialect == "postgresql":
            return [1 << 30, 6_000] if fault == "listing" else [1 << 30, 1 << 30, 50_000]
        return [6_000] if fault == "listing" else [50_000]

    def allow(self, *, allowed: bool) -> None:
        """Let the user log in, or not."""
        if self.database.dialect == "postgresql":
            self.database.run(f"ALTER ROLE {self.user} {'LOGIN' if allowed else 'NOLOGIN'}")
        else:
            self.database.run(f"ALTER USER {self.user} ACCOUNT {'UNLOCK' if allowed else 'LOCK'}")


@pytest.fixture
def proxy(database: Database) -> Iterator[MailProxy]:
    """A relay to the database."""
    with mail_proxy(database.port) as relay:
        yield relay


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
class TestBreakingSql(BreakingContract):
    """Databases keep the contract where connections break."""

    @pytest.fixture
    def place(self, database: Database, proxy: MailProxy) -> Place:
        """A database with an empty table."""
        return SqlPlace(database, proxy)

    @pytest.mark.parametrize("size", [200_000, 12_000_000])
    def test_a_connection_that_breaks(self, place: Place, tmp_path: Path, size: int) -> None:
        """A slice whose connection breaks is tried again in the same snapshot; where that ends with it, by a retry."""
        assert isinstance(place, SqlPlace)
        place.put("item", os.urandom(size))
        place.put("other", b"other")
        with place.broken("item"):
            folder, status = collected(tmp_path, place.source())
        if place.database.dialect != "postgresql":
            assert status is not JobStatus.SUCCESSFULLY_COMPLETED
            codes = {row["error_code"] for row in unsuccessful(folder).values()}
            assert codes <= {"connection_lost", "changed_during_read"} or job_rows(folder)
            status = attempt(folder, place.source()).status
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)
        assert len(held(folder)) == 3
