"""The contract of stores, on servers of Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.stores import (
    AzureStore,
    DirectoryStore,
    GcsStore,
    _azure_bucket,
    _cloud,
    _gcs_bucket,
    _object_writer,
)
from prefect_collect.stores._parts import Limits
from prefect_collect.stores.gcs_access import GcsAccess
from tests.integration.cloud_servers import Azurite, GcsServer, Tokens, tokens
from tests.stores.contract import StoreContract

pytestmark = pytest.mark.integration


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """Return a second store, of another kind."""
    return DirectoryStore(tmp_path / "other")


@pytest.fixture(scope="module")
def google_tokens() -> Iterator[Tokens]:
    """A server of tokens for a service account."""
    with tokens() as server:
        yield server


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages of listings and parts small, so that few objects make several pages, and few bytes several parts."""
    for module in (_gcs_bucket, _azure_bucket):
        monkeypatch.setattr(module, "PAGE", 20)
    monkeypatch.setattr(_object_writer, "_GROWTH", ((10_000, 8 * CloudContract.unit),))
    monkeypatch.setattr(_cloud, "_SENT", Limits(sent=16 * CloudContract.unit, copies=False))


class CloudContract(StoreContract):
    """The contract, with as many objects as make several pages, and as many bytes as make several parts."""

    unit = 16 << 10
    large = 40 * unit
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
