"""Exports as OCFL objects into buckets of S3, Google and Azure, downloaded and judged by ocfl-py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import fetch_package, verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import AzureStore, DirectoryStore, GcsStore, S3Store, Store
from tests import forked
from tests.exporting.test_ocfl import NAME
from tests.integration.cloud_servers import Azurite, GcsServer
from tests.integration.faults import FaultProxy
from tests.integration.jobs import engine_child
from tests.integration.servers import S3Server
from tests.support.memory_source import MemorySource, Thing
from tests.support.ocfl_judge import require_valid
from tests.support.run_attempts import attempt, export, new_export, new_job

pytestmark = pytest.mark.integration

LARGE = b"L" * (9 << 20)
FIRST = {"a.txt": b"one", "b/é 1.txt": b"two", "same": b"one", "empty": b"", "some": b"L" * 9999}
SECOND = {**FIRST, "a.txt": b"changed", "new": b"new"}
THIRD = {"moved/some": b"L" * 9999, "a.txt": b"changed"}


def collected(store: Store, files: dict[str, bytes]) -> JobFolder:
    """Return a new collection of just these files."""
    source = MemorySource({name: Thing("good", data) for name, data in files.items()})
    job = new_job(store, source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    return job


def judged(root: Store, folder: Path) -> None:
    """Download a storage root, and let ocfl-py judge it."""
    shutil.rmtree(folder, ignore_errors=True)
    for blob in root.list():
        (folder / blob.key).parent.mkdir(parents=True, exist_ok=True)
        (folder / blob.key).write_bytes(root.read(blob.key))
    require_valid(folder)


def test_large_items_are_copied_by_the_server(
    seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path
) -> None:
    """In one S3 server a large item does not pass through this process, and a shared one is not written again."""
    proxy, bucket = fault_proxy(seaweedfs), seaweedfs.new_bucket()
    session = seaweedfs.session()
    staging, root = (S3Store(bucket, name, endpoint_url=proxy.url, session=session) for name in ("staging", "root"))
    jobs = [collected(staging, files | {"large": LARGE}) for files in (FIRST, SECOND)]
    before = proxy.bytes_up + proxy.bytes_down
    for job in jobs:
        assert export(job, root, "ocfl")[1].status is JobStatus.SUCCESSFULLY_COMPLETED
    assert proxy.bytes_up + proxy.bytes_down - before < 1 << 20
    assert proxy.count("PUT", "content/items/large") > 0
    direct = S3Store(bucket, "root", endpoint_url=seaweedfs.url, session=session)
    assert sum(blob.key.endswith("/large") for blob in direct.list()) == 1
    assert verify(NAME, store=direct).problems == []
    judged(direct, tmp_path / "judged")
    fetched = fetch_package(direct, NAME, tmp_path / "fetched", NAME, verify(NAME, store=direct).fingerprint, "ocfl")
    assert verify(fetched).problems == []


@pytest.fixture(params=["google", "azure"])
def cloud(request: pytest.FixtureRequest) -> Store:
    """Return a prefix in a bucket of that service."""
    if request.param == "google":
        gcs: GcsServer = request.getfixturevalue("gcs")
        return GcsStore(gcs.new_bucket(), "root", access=gcs.access, endpoint_url=gcs.url)
    azure: Azurite = request.getfixturevalue("azure")
    return AzureStore(azure.new_container(), "root", access=azure.access)


def test_exports_into_other_clouds(cloud: Store, tmp_path: Path) -> None:
    """Each of three exports adds a version that shares unchanged files; ocfl-py and verify accept all."""
    staging = DirectoryStore(tmp_path / "staging")
    for number, files in enumerate((FIRST, SECOND, THIRD), 1):
        _, result = export(collected(staging, files), cloud, "ocfl")
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert list(cloud.folders(f"{NAME}/"))[-1] == f"v{number}"
        judged(cloud, tmp_path / "judged")
    found = verify(NAME, store=cloud)
    assert (found.problems, found.warnings, found.items) == ([], [], len(THIRD))
    assert found.fingerprint == result.fingerprint
    assert sum("content/items/" in blob.key for blob in cloud.list()) == 6


def test_a_retry_repairs_what_kill_9_left(
    seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path
) -> None:
    """Killed between the object's inventory and its hash, the new version is there; the retry makes it whole."""
    proxy, bucket, folder = fault_proxy(seaweedfs), seaweedfs.new_bucket(), DirectoryStore(tmp_path / "staging")
    root = S3Store(bucket, "root", endpoint_url=seaweedfs.url, session=seaweedfs.session())
    export(collected(folder, FIRST), root, "ocfl")
    collection = collected(folder, SECOND)
    job = new_export(bind_collection(folder, collection.job_id, None))
    asked = proxy.hang_next(1000, method="PUT", path=f"root/{NAME}/inventory.json.sha256$")
    process = forked.Popen(
        [sys.executable, engine_child.__file__, "export", folder.url, job.job_id, root.url, collection.job_id, "ocfl"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **seaweedfs.at(proxy.url).environment()},
    )  # fmt: skip
    assert asked.wait(60)
    process.kill()
    process.wait()
    proxy.release()
    assert b'"head": "v2"' in root.read(f"{NAME}/inventory.json")
    assert not verify(NAME, store=root).valid
    _, result = export(collection, root, "ocfl", job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(NAME, store=root).problems == []
    judged(root, tmp_path / "judged")
