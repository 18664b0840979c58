"""Custody log, verification and deletion of jobs in S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from prefect_collect.collecting import enumeration, shard
from prefect_collect.job_folder.custody_log import append, check_chain, entries
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.stores import S3Store
from prefect_collect.verification import verify_job
from tests.integration.servers import S3Server
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

pytestmark = pytest.mark.integration


@pytest.fixture
def store(seaweedfs: S3Server) -> S3Store:
    """Return a store below a prefix of its own bucket; how the servers differ is held by the stores' contract."""
    bucket = seaweedfs.new_bucket()
    return S3Store(bucket, "staging", endpoint_url=seaweedfs.url, session=seaweedfs.session())


@pytest.fixture
def job(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    """Return a job with several shards, and an item of 10.7 MB with its own segment."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 20)
    monkeypatch.setattr(shard, "LARGE_ITEM", 1 << 20)
    things = {f"mail/{n:02d}": Thing("good", b"x" * n) for n in range(50)} | {"denied": Thing("denied")}
    source = MemorySource(things | {"large": Thing("good", bytes(range(256)) * 42_000)})
    attempt(folder := new_job(store, source), source)
    attempt(folder, source)
    return folder


def test_a_job_is_verified_and_deleted(job: JobFolder, store: S3Store) -> None:
    """An unchanged job is valid; a changed byte of a segment and of a ledger part are found.

    When the job is deleted, the last entry stays, and so does another job.
    """
    found = verify_job(job)
    assert (found.problems, found.warnings) == ([], [])
    assert (found.items, found.entries) == (51, 5)
    name = next(blob.key for blob in job.store.list(f"{job.job_id}/segments/") if blob.size > 10_000_000)
    ledger = f"{job.job_id}/ledger/0001/part-00001.parquet"
    for key in (name, ledger):
        data = bytearray(job.store.read(key))
        data[len(data) // 2] ^= 1
        writer = job.store.writer(key, replace=True)
        writer.write(data)
        writer.commit()
    problems = {problem.path for problem in verify_job(job).problems}
    assert {name.partition("/")[2], "ledger/0001/part-00001.parquet"} <= problems
    other = new_job(store, MemorySource({}))
    last = entries(job)[-1]
    remove_job(job, who="ann")
    assert [blob.key for blob in store.list(f"{job.job_id}/")] == [f"{job.job_id}/custody/{last.number + 1:06d}.json"]
    assert entries(job)[0].previous == last.sha256
    assert verify_job(job).deleted
    assert other.exists()


def test_writers_that_append_at_once(store: S3Store) -> None:
    """Eight writers with five entries each make one chain of 40."""

    def write(writer: int) -> None:
        for number in range(5):
            append(JobFolder(store, "job"), "edited", {"number": number}, who=f"writer {writer}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    chain = check_chain(JobFolder(store, "job"))
    assert chain.problems == []
    assert len(chain.entries) == 40
