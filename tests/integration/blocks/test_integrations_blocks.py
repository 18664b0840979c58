"""Saved credentials blocks of prefect-gcp and prefect-azure give sources and staging stores access."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import SecretStr

from prefect_collect import collect, jobs
from prefect_collect.blocks import CloudStoreBlock, ObjectStoreSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from tests.integration.cloud_servers import Azurite, GcsServer, Tokens, tokens
from tests.support.integrations_blocks import AzureBlobStorageCredentials, GcpCredentials
from tests.support.run_attempts import check_account

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("in_prefect")]

MAIL = b"Subject: hello\n\nhello\n"


@pytest.fixture
def google() -> Iterator[Tokens]:
    """A server that gives tokens for a service account's key."""
    with tokens() as server:
        yield server


def require_collected(name: str, place: str, **fields: Any) -> None:
    """Assert that a source is collected to a store, both with the credentials that are saved under a name.

    Each is loaded by its name, as a user does.
    """
    fields |= {"credentials": Block.load(name)}
    ObjectStoreSource.model_validate({"url": f"{place}/in/", **fields}).save("cloud-mail", overwrite=True)
    CloudStoreBlock.model_validate({"url": f"{place}/staging", **fields}).save("cloud-staging", overwrite=True)
    source, store = ObjectStoreSource.load("cloud-mail"), CloudStoreBlock.load("cloud-staging")
    assert isinstance(source, ObjectStoreSource)
    assert isinstance(store, CloudStoreBlock)
    state = collect(source=source, store=store, return_state=True)
    job = jobs.get(str(state.state_details.flow_run_id))
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, job.message
    check_account(job.folder, {"in/1.eml": MAIL})
    assert job.folder.store.url.startswith(place)
    for secret in ("PRIVATE KEY", "AccountKey"):
        assert secret not in repr((source, store, job))


def test_google(gcs: GcsServer, google: Tokens, tmp_path: Path) -> None:
    """A GcpCredentials block with a key, or with the path of a key's file, signs the requests to Google."""
    bucket, other = gcs.new_bucket(), gcs.new_bucket()
    for name in (bucket, other):
        gcs.client.bucket(name).blob("in/1.eml").upload_from_string(MAIL)
    GcpCredentials(service_account_info=google.account).save("key")
    require_collected("gcp-credentials/key", f"gs://{bucket}", endpoint_url=gcs.url)
    given = google.given
    assert given
    (tmp_path / "key.json").write_text(json.dumps(google.account))
    GcpCredentials(service_account_file=tmp_path / "key.json").save("key-file")
    fields = {"endpoint_url": gcs.url, "credentials_block": "key-file"}
    CloudStoreBlock.model_validate({"url": f"gs://{other}/staging", **fields}).store().create("k", b"x")
    assert google.given > given
    source = ObjectStoreSource.model_validate({"url": f"gs://{other}/in/", **fields})
    assert [item.size for item in items_of(source)] == [len(MAIL)]
    (tmp_path / "key.json").unlink()
    with pytest.raises(SourceError, match="key cannot be read"):
        next(items_of(ObjectStoreSource.model_validate({"url": f"gs://{other}/in/", **fields})))


def test_azure(azure: Azurite) -> None:
    """An AzureBlobStorageCredentials block with a connection string signs the requests to Azure."""
    container = azure.new_container()
    azure.service.get_blob_client(container, "in/1.eml").upload_blob(MAIL)
    AzureBlobStorageCredentials(connection_string=SecretStr(azure.connection_string)).save("account")
    require_collected("azure-blob-storage-credentials/account", f"az://{container}")


def test_blocks_that_are_not_saved(gcs: GcsServer, google: Tokens, azure: Azurite) -> None:
    """What a block holds becomes the secret of the source that it is given to."""
    key = GcpCredentials(service_account_info=google.account)
    found = ObjectStoreSource.model_validate({"url": "gs://bucket", "endpoint_url": gcs.url, "credentials": key})
    assert found.secret is not None
    assert json.loads(found.secret.get_secret_value()) == google.account
    account = AzureBlobStorageCredentials(connection_string=SecretStr(azure.connection_string))
    found = ObjectStoreSource.model_validate({"url": "az://container", "credentials": account})
    assert found.secret is not None
    assert found.secret.get_secret_value() == azure.connection_string
