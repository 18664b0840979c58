"""A secret of a source or a store is stored by Prefect, encrypted, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prefect_aws import AwsCredentials, MinIOCredentials

from prefect_collect import collect, export, jobs
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.blocks.s3_store import S3StoreBlock
from prefect_collect.statuses import JobStatus
from tests.integration.faults import FaultProxy
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


def test_secrets_stay_secret(
    prefect: PrefectServer,
    seaweedfs: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The secret is not in parameters, job.json, logs, artifacts, reports or on the terminal; a retry still has it.

    The source and the destination have AWS's credentials block, the staging store has MinIO's.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    bucket, staging = seaweedfs.new_bucket(), seaweedfs.new_bucket()
    for n in range(4):
        seaweedfs.client().put_object(Bucket=bucket, Key=str(n), Body=b"x")
    secret = seaweedfs.secret_key
    credentials = AwsCredentials(
        aws_access_key_id=seaweedfs.access_key, aws_secret_access_key=secret, region_name=seaweedfs.region
    )
    others = MinIOCredentials(
        minio_root_user=seaweedfs.access_key, minio_root_password=secret, region_name=seaweedfs.region
    )
    store = S3StoreBlock(bucket=staging, prefix="s", endpoint_url=seaweedfs.url, credentials=others)
    with FaultProxy(seaweedfs.url) as proxy:
        source = ObjectStoreSource(
            name="s3", url=f"s3://{bucket}", endpoint_url=proxy.url, credentials=credentials, read_timeout=3
        )
        proxy.fail_next(1000, 403, "AccessDenied", path="/2")
        state = collect(source=source, store=store, return_state=True)
        assert state.name == "Partially completed", state.message
        job = jobs.get(str(state.state_details.flow_run_id))
        proxy.clear()
        job = jobs.retry(job.id)
        assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, job.message
        out = S3StoreBlock(bucket=staging, prefix="out", endpoint_url=seaweedfs.url, credentials=credentials)
        state = export(job.id, out, store=store, return_state=True)
        assert state.name == "Successfully completed", state.message
        exported = jobs.get(str(state.state_details.flow_run_id))
        jobs.download(exported.id, tmp_path / "home", store)
    shown = repr((source, store, job, job.parameters, job.result, job.record, exported.to_json(), state))
    assert secret not in shown + str(capfd.readouterr())
    places = {
        path: path.read_bytes() for path in prefect.home.rglob("*") if path.is_file() and "fernet" not in path.name
    }
    places[Path("the database")] = prefect.stored()
    assert job.id.encode() in places[Path("the database")]
    client = seaweedfs.client()
    for found in client.list_objects_v2(Bucket=staging)["Contents"]:
        places[Path(found["Key"])] = client.get_object(Bucket=staging, Key=found["Key"])["Body"].read()
    assert [str(path) for path, data in places.items() if secret.encode() in data] == []
