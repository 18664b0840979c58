"""The contract of stores, on each S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.stores import DirectoryStore, S3Store
from tests.integration.servers import MOTO_PAGE, S3Server
from tests.stores.contract import StoreContract

pytestmark = pytest.mark.integration


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """Return a second store, of another kind."""
    return DirectoryStore(tmp_path / "other")


class TestSeaweedFS(StoreContract):
    """On SeaweedFS, which checks signatures and checksums."""

    skip_names = frozenset({"back\\slash"})  # it takes a backslash for a slash

    @pytest.fixture
    def store(self, seaweedfs: S3Server) -> S3Store:
        """Return a store below a prefix of its own bucket."""
        return S3Store(seaweedfs.new_bucket(), "pre fix/é", endpoint_url=seaweedfs.url, session=seaweedfs.session())


class TestMoto(StoreContract):
    """On moto, at the top of a bucket."""

    many = 2 * MOTO_PAGE + 5
    skip_names = frozenset({"new\nline"})  # its web server finds no page for it

    @pytest.fixture
    def store(self, moto: S3Server) -> S3Store:
        """Return a store without a prefix."""
        return S3Store(moto.new_bucket(), endpoint_url=moto.url, session=moto.session())
