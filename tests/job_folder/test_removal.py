"""Deleting a job: all of it goes but the last line of its log, and nothing else, whatever dies in between."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from prefect_collect.collecting import enumeration
from prefect_collect.errors import JobNotFound
from prefect_collect.job_folder.custody_log import append, check_chain, entries
from prefect_collect.job_folder.folder import JobFolder, job_folders
from prefect_collect.job_folder.removal import deletion, remove_job
from prefect_collect.job_folder.store_keys import custody_key
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import Killed, MemoryStore
from tests.support.run_attempts import attempt, new_job


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of three items, so that few items make many files."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 3)


def job(store: Store, job_id: str = "job") -> JobFolder:
    """A job that is partially completed."""
    source = MemorySource({**{f"good/{n}": Thing("good", b"x" * n) for n in range(7)}, "denied": Thing("denied")})
    attempt(folder := new_job(store, source, job_id), source)
    return folder


def keys(store: Store) -> list[str]:
    """Everything that the store holds."""
    return [blob.key for blob in store.list()]


def test_the_last_line_stays(tmp_path: Path) -> None:
    """It says who, what, how much, how the job stood, and holds the hash of the line before; the job is gone."""
    store = DirectoryStore(tmp_path)
    folder, other = job(store), job(store, "job2")
    before, neighbours = list(store.list("job/")), list(store.list("job2/"))
    last = entries(folder)[-1]
    assert remove_job(folder, who="ann@host", details={"reason": "retention"}) == len(before)
    assert keys(store) == [custody_key("job", last.number + 1), *(blob.key for blob in neighbours)]
    (entry,) = entries(folder)
    assert (entry.action, entry.who, entry.previous) == ("deleted", "ann@host", last.sha256)
    said = entry.details
    assert (said["files_removed"], said["bytes_removed"]) == (len(before), sum(blob.size for blob in before))
    assert (said["status"], said["counts"]["succeeded"], said["reason"]) == ("Partially completed", 7, "retention")
    assert not folder.exists()
    assert [found.job_id for found in job_folders(store)] == ["job2"]
    assert check_chain(folder).problems == []
    verified = verify_job(folder)
    assert (verified.valid, verified.deleted, verified.entries) == (True, True, 1)
    assert "deleted by ann@host" in verified.warnings[0].what
    assert verify_job(other).valid
    assert deletion(folder) == entry
    assert deletion(other) is None


def test_again_and_nothing() -> None:
    """A deleted job can be deleted again, which does nothing; one that never was cannot."""
    store = MemoryStore()
    folder = job(store)
    remove_job(folder)
    before = dict(store.blobs)
    assert remove_job(folder) == 0
    assert store.blobs == before
    with pytest.raises(JobNotFound):
        remove_job(JobFolder(store, "another"))
    assert store.blobs == before


def test_a_draft() -> None:
    """A job that is a log alone is deleted too."""
    store = MemoryStore()
    folder = JobFolder(store, "job")
    append(folder, "drafted")
    append(folder, "edited")
    assert remove_job(folder) == 2
    assert keys(store) == [custody_key("job", 3)]


def test_dying_at_any_moment() -> None:
    """Once the last line is written the job is being deleted: it is no job for others, and can be finished."""
    whole = MemoryStore()
    job(whole)
    moments = 0
    for moment in range(100):
        store = whole.copy()
        steps = iter(range(moment))

        def fault(operation: str, key: str, store: MemoryStore = store, steps: object = steps) -> None:
            if next(steps, None) is None:  # type: ignore[call-overload]
                store.dead = True
                raise Killed

        store.fault = fault
        try:
            remove_job(JobFolder(store, "job"))
        except Killed:
            moments += 1
        found = store.copy()
        folder = JobFolder(found, "job")
        assert check_chain(folder).problems == []
        if moment >= 2:
            assert not folder.exists()
        remove_job(folder)
        (last,) = keys(found)
        assert hashlib.sha256(found.blobs[last]).hexdigest() == check_chain(folder).fingerprint
        assert check_chain(folder).problems == []
        if not store.dead:
            break
    assert moments > 8


def test_damaged_jobs_can_be_deleted() -> None:
    """Whatever cannot be read of it any more."""
    whole = MemoryStore()
    job(whole)
    for name in ("job.json", "reports/0001/result.json", "custody/000002.json", "custody/000003.json"):
        store = whole.copy()
        store.blobs[f"job/{name}"] = b"\xff{"
        remove_job(JobFolder(store, "job"))
        (last,) = keys(store)
        assert last == custody_key("job", 4)


def test_a_stale_process_after_the_deletion() -> None:
    """What one that was still running wrote later is found by verify, and goes when the job is deleted again."""
    store = MemoryStore()
    folder = job(store)
    remove_job(folder)
    store.create("job/ledger/0001/part-00009.parquet", b"late")
    verified = verify_job(folder)
    assert [warning.path for warning in verified.warnings] == ["job.json", "ledger/0001/part-00009.parquet"]
    assert remove_job(folder) == 1
    assert keys(store) == [custody_key("job", 4)]


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """What a link in the job's folder, or in the place of the folder, points to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "job.json").write_bytes(b"precious")
    store = DirectoryStore(tmp_path / "store")
    folder = job(store)
    where = tmp_path / "store" / "job"
    for link in (where / "link", where / "segments" / "link", where / "custody" / "link"):
        link.symlink_to(outside)
    remove_job(folder)
    assert [path.name for path in outside.iterdir()] == ["job.json"]
    (tmp_path / "store" / "linked").symlink_to(outside)
    with pytest.raises(JobNotFound):
        remove_job(JobFolder(store, "linked"))
    assert (outside / "job.json").read_bytes() == b"precious"
