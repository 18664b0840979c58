"""The tokens by which requests to Azure's containers are signed: of identities of the environment, and of a block."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.connectors.object_store import signing
from prefect_collect.connectors.object_store.opening import Access, connect
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.threads.stop import Stop
from tests.integration.certificates import self_signed
from tests.integration.connectors.object_stores import Authorized, source_of
from tests.integration.sources.places import listed_before
from tests.support.local_http import serving
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = pytest.mark.integration

_OF_AZURE = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
    "AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip
"""The variables by which azure-identity finds an identity."""


@pytest.fixture
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no identity."""
    for name in _OF_AZURE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kubernetes(no_identity: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authorized]:
    """A pod with a workload identity, as AKS makes its environment, and the server of tokens, which speaks TLS."""
    certificate = self_signed(tmp_path, "127.0.0.1")
    server = Authorized()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "token").write_text("of-the-pod")
    with serving(server):
        for name, text in {
            "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{server.server_port}/",
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
            "AZURE_TENANT_ID": "t",
            "AZURE_CLIENT_ID": "c",
            "SSL_CERT_FILE": str(certificate),
        }.items():
            monkeypatch.setenv(name, text)
        yield server


@pytest.fixture
def managed(no_identity: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Authorized, str]]:
    """An account of Azure as its environment names it, and the managed identity of a service that runs there."""
    with serving(server := Authorized()) as url:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "hush-hush")
        yield server, url


def test_a_managed_identity_of_azure(managed: tuple[Authorized, str]) -> None:
    """Its token is asked for once; what the server of tokens refuses is `bad_credentials`, and no secret is told."""
    server, url = managed
    source = source_of("az://container", endpoint_url=url)
    for _ in range(3):
        assert [*items_of(source)] == []
    assert server.seen == ["Bearer managed"] * 3
    assert server.given == 1
    server.are_refused = True
    with pytest.raises(SourceError) as caught:
        [*items_of(source_of("az://container", endpoint_url=url))]
    assert caught.value.code == "bad_credentials"
    assert "hush" not in str(caught.value)
    assert len(server.seen) == 3


def test_a_workload_identity_of_azure(kubernetes: Authorized, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a cluster of Kubernetes, the token of the pod is that of its requests, and is read anew."""
    with serving(server := Authorized()) as url:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        assert [*items_of(source_of("az://container", endpoint_url=url))] == []
    assert server.seen == ["Bearer workload"]
    assert kubernetes.asked[-1]["client_assertion"] == ["of-the-pod"]


def principal(url: str) -> AzureAccess:
    """Return the access of a service principal: of a server of one's own, which Microsoft need not know."""
    return AzureAccess(f"{url}/account", tenant_id="adfs", client_id="c", client_secret="hush-hush")


@pytest.mark.parametrize(
    "name", [None, "STORAGE_ACCOUNT_KEY", "STORAGE_ACCESS_KEY", "STORAGE_SAS_TOKEN", "STORAGE_SAS_KEY", "CLIENT_SECRET"]
)
def test_a_principal_of_a_block(name: str | None, kubernetes: Authorized, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its own token, whatever else the environment has: the token of a pod's identity, and a key beside it."""
    if name is not None:
        monkeypatch.setenv(f"AZURE_{name}", base64.b64encode(b"key").decode())
    with serving(server := Authorized()) as url:
        bucket = connect(Access("az://container", principal(url), None, 5, 5))
        assert len([*bucket.items("")]) == 1
        assert server.seen == ["Bearer secret"]
        assert kubernetes.asked[-1]["client_secret"] == ["hush-hush"]
        if name is None:
            kubernetes.are_refused = True
            bucket = connect(Access("az://other", principal(url), None, 5, 5))
            with pytest.raises(SourceError, match="invalid_client") as caught:
                [*bucket.items("")]
            assert caught.value.code == "bad_credentials"
            assert "hush" not in str(caught.value)


@pytest.mark.parametrize("when", ["listing", "reading"])
def test_a_cancel_while_no_token_comes(
    when: str, managed: tuple[Authorized, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel ends a job whose server of tokens does not answer, while it lists or reads."""
    server, url = managed
    source, stop = source_of("az://container", endpoint_url=url), Stop()
    items = [Item(f"packed{number}", f"packed{number}", 9) for number in range(3)]
    monkeypatch.setattr(signing, "_FRESH", 0.0)
    server.hangs = when == "listing"
    listed = source if when == "listing" else listed_before(source, items, lambda: setattr(server, "hangs", True))
    job = new_job(MemoryStore(), source)
    threading.Thread(target=lambda: server.is_asked.wait(60) and stop.set(CANCELED)).start()
    try:
        assert attempt(job, listed, stop=stop).status is JobStatus.CANCELED
    finally:
        server.released.set()
    check_account(job)
