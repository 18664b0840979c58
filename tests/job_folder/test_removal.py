"""Deleting a job removes all of it but the last entry of its log, and nothing else, whenever the process dies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

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

pytestmark = pytest.mark.usefixtures("small_shards")


def job(store: Store, job_id: str = "job") -> JobFolder:
    """Return a job that is Partially completed."""
    source = MemorySource({**{f"good/{n}": Thing("good", b"x" * n) for n in range(7)}, "denied": Thing("denied")})
    attempt(folder := new_job(store, source, job_id), source)
    return folder


def keys(store: Store) -> list[str]:
    """Return all keys of the store."""
    return [blob.key for blob in store.list()]


def test_the_last_line_stays(tmp_path: Path) -> None:
    """It records who, what, how much and the last status, with the hash of the entry before; the job is gone."""
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
    """Deleting a deleted job again does nothing; deleting a job that never existed is an error."""
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
    """A job that has only a log is deleted too."""
    store = MemoryStore()
    folder = JobFolder(store, "job")
    append(folder, "drafted")
    append(folder, "edited")
    assert remove_job(folder) == 2
    assert keys(store) == [custody_key("job", 3)]


def test_dying_at_any_moment() -> None:
    """Once the last entry is written, the job no longer exists for others, and the deletion can be finished."""
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
    """A job with any damaged file can be deleted."""
    whole = MemoryStore()
    job(whole)
    for name in ("job.json", "reports/0001/result.json", "custody/000002.json", "custody/000003.json"):
        store = whole.copy()
        store.blobs[f"job/{name}"] = b"\xff{"
        remove_job(JobFolder(store, "job"))
        (last,) = keys(store)
        assert last == custody_key("job", 4)


def test_a_stale_process_after_the_deletion() -> None:
    """Files that a stale process writes later are reported by verify, and removed when the job is deleted again."""
    store = MemoryStore()
    folder = job(store)
    remove_job(folder)
    store.create("job/ledger/0001/part-00009.parquet", b"late")
    verified = verify_job(folder)
    assert [warning.path for warning in verified.warnings] == ["job.json", "ledger/0001/part-00009.parquet"]
    assert remove_job(folder) == 1
    assert keys(store) == [custody_key("job", 4)]


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """The target of a link in the job's folder, or in place of the folder, is kept."""
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
