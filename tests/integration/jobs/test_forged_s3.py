"""Evidence in a real S3 store that another client has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.errors import CorruptPart, EvidenceError
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import ledger_bytes
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.parquet import read_part
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.stores import Blob, S3Store
from tests.integration.servers import S3Server
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, held, new_job, unsuccessful

pytestmark = pytest.mark.integration


@pytest.fixture
def store(seaweedfs: S3Server) -> S3Store:
    """A store in a bucket of its own."""
    return S3Store(seaweedfs.new_bucket(), "jobs", endpoint_url=seaweedfs.url, session=seaweedfs.session())


@pytest.fixture
def job(store: S3Store) -> JobFolder:
    """A collection of four items."""
    source = MemorySource({f"good/{n}": Thing("good", b"content %d" % n) for n in range(4)})
    folder = new_job(store, source)
    attempt(folder, source)
    return folder


def put(seaweedfs: S3Server, folder: JobFolder, key: str, data: bytes) -> None:
    """Write an object as another client of the bucket does."""
    store = folder.store
    assert isinstance(store, S3Store)
    seaweedfs.client().put_object(Bucket=store.bucket, Key=f"jobs/{key}", Body=data)


def test_a_manifest_and_a_log(seaweedfs: S3Server, job: JobFolder) -> None:
    """A changed manifest, or a shortened custody log, is refused as evidence; the job can be deleted."""
    key = store_keys.manifest_key(job.job_id, 1)
    true = job.store.read(key)
    put(seaweedfs, job, key, true + b" ")
    with pytest.raises(CorruptPart, match="manifest"):
        bind_collection(job.store, job.job_id)
    put(seaweedfs, job, key, true)
    assert bind_collection(job.store, job.job_id).result.counts.succeeded == 4
    job.store.remove([store_keys.custody_key(job.job_id, number) for number in (2, 3)])
    with pytest.raises(EvidenceError, match="custody log"):
        bind_collection(job.store, job.job_id)
    with pytest.raises(EvidenceError, match="custody log"):
        claim_attempt(job)
    remove_job(job)
    assert "cut off" in custody_log.entries(job)[0].details["log_damage"]


def test_a_segment_and_the_etag_that_would_prove_it(seaweedfs: S3Server, job: JobFolder, tmp_path: Path) -> None:
    """With a changed segment, and its new ETag forged into the ledger, the item fails; the others are delivered."""
    row = held(job)["good/2"]
    segment, ledger = f"{job.job_id}/{row['segment']}", store_keys.ledger_key(job.job_id, 1, 0)
    assert bind_collection(job.store, job.job_id).segments().keys() == {row["segment"]}
    changed = bytearray(job.store.read(segment))
    changed[row["offset"]] ^= 1
    put(seaweedfs, job, segment, bytes(changed))
    now = job.store.stat(segment)
    put(
        seaweedfs,
        job,
        ledger,
        bytes(ledger_bytes(read_part(job.store, ledger), [Blob(row["segment"], now.size, now.etag)])),
    )
    assert bind_collection(job.store, job.job_id).segments() == {}
    exported, result = export(job, job.store)
    assert (result.counts.succeeded, result.counts.failed) == (3, 1)
    assert [*unsuccessful(exported)] == ["good/2"]
