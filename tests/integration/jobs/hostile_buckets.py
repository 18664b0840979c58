"""Collections from, and staging stores in, a bucket that is hostile."""

from __future__ import annotations

import boto3

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.stores import S3Store
from prefect_collect.threads.stop import Stop
from tests.integration.hostile import HostileStore
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, new_job

OBJECTS = {f"k{n}": b"data %d" % n for n in range(5)}


def source_of(bucket: HostileStore, url: str = "s3://bucket/") -> ObjectStoreSource:
    """Return a source of the bucket, without credentials."""
    return ObjectStoreSource(url=url, endpoint_url=bucket.url, anonymous=True)


def collected(
    bucket: HostileStore, *, url: str = "s3://bucket/", stop: Stop | None = None
) -> tuple[JobFolder, TaskResult]:
    """Run one attempt of a collection of the bucket; return its result and its folder."""
    source = source_of(bucket, url)
    folder = new_job(MemoryStore(), source)
    result = attempt(folder, source, stop=stop)
    check_account(folder, OBJECTS)
    return folder, result


def message(result: TaskResult) -> str:
    """Return the message of the error report's row of the whole job."""
    (row,) = [row for row in result.unsuccessful.to_arrow().to_pylist() if row["item_id"] is None]
    text: str = row["message"]
    return text


def staging_store(bucket: HostileStore, prefix: str = "") -> S3Store:
    """Return a staging store in the bucket."""
    keys = boto3.session.Session("key", "secret", region_name="us-east-1")
    return S3Store("bucket", prefix, endpoint_url=bucket.url, session=keys)
