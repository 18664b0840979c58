"""The contract of stores, on servers of Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.stores import AzureStore, DirectoryStore, GcsStore, _azure_bucket, _gcs_bucket
from prefect_collect.stores.gcs_access import GcsAccess
from tests.integration.cloud_servers import Azurite, GcsServer, Tokens, azurite, gcs_server, tokens
from tests.stores.contract import StoreContract

pytestmark = pytest.mark.integration


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """Return a second store, of another kind."""
    return DirectoryStore(tmp_path / "other")


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A server of Google Cloud Storage."""
    with gcs_server(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="module")
def google_tokens() -> Iterator[Tokens]:
    """A server of tokens for a service account."""
    with tokens() as server:
        yield server


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A server of Azure Blob Storage."""
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages of listings small, so that few objects make several pages."""
    for module in (_gcs_bucket, _azure_bucket):
        monkeypatch.setattr(module, "PAGE", 20)


class CloudContract(StoreContract):
    """The contract, with as many objects as make several pages."""

    many = 45
    removed = 50


class TestGcs(CloudContract):
    """On fake-gcs-server, with the key of a service account."""

    skip_names = frozenset({"new\nline", "cr\r"})  # Google allows no line ends in names

    @pytest.fixture
    def store(self, gcs: GcsServer, google_tokens: Tokens) -> GcsStore:
        """Return a store below a prefix of its own bucket."""
        access = GcsAccess(service_account=json.dumps(google_tokens.account))
        return GcsStore(gcs.new_bucket(), "pre fix/é", access=access, endpoint_url=gcs.url)


class TestAzurite(CloudContract):
    """On Azurite, with the account's key."""

    skip_names = frozenset(
        {"back\\slash", "\x01\x1f"}
    )  # one Azure takes for a slash, and Azurite cannot list the other

    @pytest.fixture
    def store(self, azure: Azurite) -> AzureStore:
        """Return a store at the top of its own container."""
        return AzureStore(azure.new_container(), access=azure.access)
