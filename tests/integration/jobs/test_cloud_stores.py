"""Jobs whose source, staging store and destination are at Google Cloud Storage and Azure, without Prefect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_collect.blocks import CloudStoreBlock, ObjectStoreSource
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, store_lies
from prefect_collect.stores.addresses import BUCKET_URLS
from prefect_collect.verification import verify_job
from tests.integration.cloud_servers import Azurite, GcsServer, tokens
from tests.integration.faults import FaultProxy
from tests.support.run_attempts import attempt, check_account, export, new_job

pytestmark = pytest.mark.integration

OBJECTS = {f"in/{n:02d} é.txt": b"%d" % n * 99 for n in range(12)} | {"in/large": b"x" * (17 << 20), "in/empty": b""}


def test_from_google_by_azure_to_google(gcs: GcsServer, azure: Azurite, tmp_path: Path) -> None:
    """What a service account reads from Google is staged at Azure by a connection string, and exported to Google.

    The job and the package are valid, and the package is that of an export to a folder.
    """
    bucket, container = gcs.new_bucket(), azure.new_container()
    for name, data in OBJECTS.items():
        gcs.client.bucket(bucket).blob(name).upload_from_string(data)
    with tokens() as google:
        key = json.dumps(google.account)
        source = ObjectStoreSource.model_validate(
            {"name": "gs", "url": f"gs://{bucket}/in/", "endpoint_url": gcs.url, "secret": key}
        )
        store = CloudStoreBlock.model_validate(
            {"url": f"az://{container}/staging", "secret": azure.connection_string}
        ).store()
        out = CloudStoreBlock.model_validate({"url": f"gs://{bucket}/out", "endpoint_url": gcs.url, "secret": key})
        store.require_exclusive_creates()
        folder = new_job(store, source)
        result = attempt(folder, source, workers=2)
        assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 14)
        check_account(folder, OBJECTS)
        assert verify_job(folder).problems == []
        _, first = export(folder, out.store())
        assert first.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert verify("test.zip", store=out.store()).problems == []
        assert source.overlap(out.store()) is None
        around = CloudStoreBlock.model_validate({"url": f"gs://{bucket}/in/x", "endpoint_url": gcs.url, "secret": key})
        assert source.overlap(around.store()) is not None
        assert source.overlap(store) is None
    _, second = export(folder, DirectoryStore(tmp_path))
    assert first.fingerprint == second.fingerprint
    assert store.delete(f"{folder.job_id}/") > 5
    assert list(store.list(f"{folder.job_id}/")) == []


def test_an_attempt_that_azure_cuts_off_is_retried(azure: Azurite, gcs: GcsServer) -> None:
    """An attempt whose staged bytes cannot be written fails as a whole; once they can, a retry collects everything."""
    container = azure.new_container()
    for name, data in OBJECTS.items():
        azure.service.get_blob_client(container, name).upload_blob(data)
    source = ObjectStoreSource.model_validate(
        {"name": "az", "url": f"az://{container}/in/", "secret": azure.connection_string}
    )
    with FaultProxy(azure.url) as proxy:
        access = azure.at(proxy.url).connection_string
        store = CloudStoreBlock.model_validate({"url": f"az://{azure.new_container()}", "secret": access}).store()
        folder = new_job(store, source)
        proxy.fail_next(1000, status=403, code="AuthorizationPermissionMismatch", method="PUT", path="segments")
        failed = attempt(folder, source)
        assert failed.status is JobStatus.FAILED, failed
        proxy.clear()
        assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder, OBJECTS)
        assert verify_job(folder).problems == []


def test_stores_in_stores(azure: Azurite, gcs: GcsServer) -> None:
    """A store lies in another of the same bucket, server and account, if its prefix begins with that of the other."""
    name = "bucket"
    secret = azure.connection_string
    other = secret.replace("collecttests", "another")

    def at(url: str, **fields: str) -> CloudStoreBlock:
        return CloudStoreBlock.model_validate({"url": url, **fields})

    inner, outer = at(f"az://{name}/a/b", secret=secret).store(), at(f"az://{name}/a", secret=secret).store()
    assert store_lies(inner, outer)
    assert not store_lies(outer, inner)
    assert not store_lies(inner, at(f"az://{name}/a", secret=other).store())
    assert not store_lies(inner, at(f"gs://{name}/a", endpoint_url=gcs.url).store())
    assert store_lies(
        at(f"gs://{name}/a", endpoint_url=gcs.url).store(), at(f"gs://{name}", endpoint_url=gcs.url).store()
    )
    assert set(BUCKET_URLS) == {"s3", "gs", "az"}
