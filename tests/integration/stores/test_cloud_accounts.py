"""Accounts, keys, quotas and names of Google and Azure that are refused: each is told, and no secret with it."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from prefect_collect.errors import (
    StoreAccessDenied,
    StoreError,
    StoreQuotaExceeded,
    StoreUnavailable,
)
from prefect_collect.stores import AzureStore, Blob, GcsStore, Store
from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import GcsAccess
from tests.integration.cloud_servers import ACCOUNT, KEY, Azurite, GcsServer, tokens

pytestmark = pytest.mark.integration


def test_wrong_keys_and_signatures_of_azure(azure: Azurite) -> None:
    """A wrong key and an expired signature are refused at every operation, and appear in no message.

    A connection string and a valid signature work; a signature for one container gives no link.
    """
    name = azure.new_container()

    def signature(expiry: timedelta) -> str:
        allowed = ContainerSasPermissions(read=True, write=True, delete=True, list=True, create=True)
        until = datetime.now(UTC) + expiry
        return generate_container_sas(ACCOUNT, name, account_key=KEY, permission=allowed, expiry=until)

    valid, expired, wrong = signature(timedelta(hours=1)), signature(timedelta(hours=-1)), "aGlkZGVu" * 8
    for access in (
        AzureAccess(account_url=azure.url, account_key=wrong),
        AzureAccess(account_url=azure.url, sas_token=expired),
        AzureAccess(connection_string=f"BlobEndpoint={azure.url};SharedAccessSignature={expired}"),
    ):
        store = AzureStore(name, access=access)
        create, read = partial(store.create, "k", b"x"), partial(store.read, "k")
        for use in (create, read, partial(_listed, store), store.require_exclusive_creates):
            with pytest.raises(StoreAccessDenied) as caught:
                use()
            shown = f"{caught.value}{store!r}{access!r}"
            assert wrong not in shown
            assert "sig=" not in shown
    for number, access in enumerate([
        AzureAccess(connection_string=azure.connection_string),
        AzureAccess(account_url=azure.url, sas_token=f"?{valid}"),
        AzureAccess(connection_string=f"BlobEndpoint={azure.url};SharedAccessSignature={valid}"),
    ]):  # fmt: skip
        store = pickle.loads(pickle.dumps(AzureStore(name, str(number), access=access)))
        store.create("k", b"x")
        assert store.read("k") == b"x"
        assert [blob.key for blob in store.list()] == ["k"]
    with pytest.raises(StoreError, match="account's key"):
        store.link("k")


def test_the_environment_of_azure(azure: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials those of the environment are used: a connection string, or the account's name and key."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure.connection_string)
    store = AzureStore(azure.new_container())
    store.create("k", b"x")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    with pytest.raises(StoreAccessDenied, match="AZURE_STORAGE_ACCOUNT_NAME"):
        AzureStore(store.bucket).read("k")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    assert AzureStore(store.bucket, endpoint_url=azure.url).read("k") == b"x"
    assert AzureStore(store.bucket).endpoint == f"https://{ACCOUNT}.blob.core.windows.net"


def test_accounts_that_google_refuses(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that was deleted, a key that is none, and no credentials at all are `StoreAccessDenied`."""
    bucket = gcs.new_bucket()
    with tokens() as google:
        store = GcsStore(bucket, access=GcsAccess(service_account=json.dumps(google.account)), endpoint_url=gcs.url)
        store = pickle.loads(pickle.dumps(store))
        store.create("k", b"x")
        assert google.given
        google.are_refused = True
        again = GcsStore(bucket, access=GcsAccess(service_account=json.dumps(google.account)), endpoint_url=gcs.url)
        with pytest.raises(StoreAccessDenied, match="account not found") as caught:
            again.read("k")
        assert "PRIVATE" not in f"{caught.value}{again!r}{again._access!r}"
    with pytest.raises(StoreAccessDenied, match="not the JSON key"):
        GcsStore(bucket, access=GcsAccess(service_account="{}"), endpoint_url=gcs.url).read("k")
    monkeypatch.setattr("google.auth.default", _no_credentials)
    with pytest.raises(StoreAccessDenied, match="No credentials"):
        GcsStore(bucket, endpoint_url=gcs.url).read("k")


def _listed(store: Store) -> list[Blob]:
    return list(store.list())


def _no_credentials(**_: object) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    raise DefaultCredentialsError("none")


def test_quotas_of_google() -> None:
    """Google's reason tells a quota that is used up from access that is denied."""
    from google.api_core.exceptions import from_http_response
    from requests import Request, Response

    from prefect_collect.stores._gcs_errors import google_error

    for reason, kind in {
        "quotaExceeded": StoreQuotaExceeded, "rateLimitExceeded": StoreUnavailable, "forbidden": StoreAccessDenied,
    }.items():  # fmt: skip
        answer = Response()
        answer.status_code = 403
        answer._content = json.dumps({"error": {"message": "No.", "errors": [{"reason": reason}]}}).encode()
        answer.request = Request("GET", "http://x").prepare()
        assert type(google_error(from_http_response(answer), "gs://b/k")) is kind


@pytest.mark.parametrize("name", ["a\\b", "x" * 1025, "\ud800"])
def test_names_that_azure_cannot_have(name: str) -> None:
    """A name that Azure would change or refuse is refused before anything is sent."""
    with pytest.raises(StoreError, match="Azure Blob Storage"):
        AzureStore("container", access=AzureAccess(account_url="http://127.0.0.1:1/x")).create(name, b"")


@pytest.mark.parametrize("name", ["a\nb", "x" * 1025, "\ud800"])
def test_names_that_google_cannot_have(name: str) -> None:
    """A name that Google would refuse is refused before anything is sent."""
    with pytest.raises(StoreError, match="Google Cloud Storage"):
        GcsStore("bucket", access=GcsAccess(anonymous=True), endpoint_url="http://127.0.0.1:1").create(name, b"")
