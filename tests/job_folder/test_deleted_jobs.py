"""Folders whose jobs have no run in Prefect are found and described; no job that is worked on is among them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest

from prefect_collect.errors import StoreUnavailable
from prefect_collect.job_folder import custody_log, process_identity, store_keys
from prefect_collect.job_folder.deleted_jobs import FLOW, KEPT, DeletedJob, Origin, describe, folders_without_run
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.statuses import JobKind, JobStatus
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_job

OURS = str(uuid4())


@pytest.fixture
def store() -> MemoryStore:
    """A staging store."""
    return MemoryStore()


def ended(store: MemoryStore) -> JobFolder:
    """Return a collection of two items that has ended."""
    source = MemorySource({"a": Thing("good", b"12345"), "b": Thing("good", b"6")}, name="mail")
    attempt(folder := new_job(store, source), source)
    return folder


def claimed(store: MemoryStore, **details: Any) -> JobFolder:
    """Return a job whose first attempt is open, with these details in its claim."""
    folder = new_job(store, MemorySource({}))
    claim_attempt(folder, details)
    return folder


def found(folder: JobFolder, **options: Any) -> DeletedJob:
    """Return the job in a folder without a run."""
    job = describe(folder, {OURS}, **options)
    assert job is not None
    return job


def test_only_folders_named_by_ids_without_a_run_are_found(store: MemoryStore) -> None:
    """Packages, saved patterns and jobs with a run are passed over; Prefect is asked for many ids at a time, and not
    for folders that were made since: their runs are older than they are.
    """
    known, gone = ended(store), ended(store)
    store.create("queries/x.json", b"{}")
    store.create("mail-2026/bag-info.txt", b"")
    asked: list[list[str]] = []

    def with_run(names: list[str]) -> Iterable[str]:
        asked.append(names)
        ended(store)
        return {known.job_id}

    assert [folder.job_id for folder in folders_without_run(store, lambda names: {*with_run(names)})] == [gone.job_id]
    assert asked == [sorted([known.job_id, gone.job_id])]


def test_a_job_is_described_as_it_was_recorded(store: MemoryStore) -> None:
    """Its kind, name, source, status and counts are those of its record and its last result."""
    job = found(ended(store))
    assert (job.kind, job.name, job.source) == (JobKind.COLLECTION, "test", "mail")
    assert (job.status, job.items, job.bytes) == (JobStatus.SUCCESSFULLY_COMPLETED, 2, 6)
    assert job.created is not None
    assert (job.store, job.is_open, job.is_kept, job.problem) == ("memory:", False, False, "")


@pytest.mark.parametrize(
    ("flow", "origin", "said"),
    [
        ({FLOW: OURS}, Origin.HERE, "deleted in Prefect"),
        ({FLOW: str(uuid4())}, Origin.ELSEWHERE, "made through another one"),
        ({}, Origin.UNRECORDED, "does not record"),
    ],
)
def test_what_is_said_of_its_run(store: MemoryStore, flow: dict[str, str], origin: Origin, said: str) -> None:
    """Only a job that this server's flow made is called deleted; another one may have its run on another server."""
    job = found(claimed(store, pid=1, pid_started=1, **flow))
    assert (job.origin, said in job.reason) == (origin, True)


def test_a_job_that_is_worked_on_is_none(store: MemoryStore) -> None:
    """A process of this machine, or this one, works on it; once that process is gone, it is found without a status."""
    with subprocess.Popen(["sleep", "600"]) as process:
        folder = claimed(store, pid=process.pid, pid_started=process_identity._started(process.pid))
        assert describe(folder, {OURS}) is None
        process.kill()
    assert (found(folder).status, found(folder).is_open) == (None, False)
    assert describe(folder, {OURS}, is_worked_on=True) is None


def test_a_process_that_cannot_be_seen(store: MemoryStore) -> None:
    """A job that a process of another machine may still work on is marked as open."""
    assert found(claimed(store, host="elsewhere")).is_open


def test_a_kept_job_is_marked(store: MemoryStore) -> None:
    """The entry `kept` of the custody log marks a job."""
    folder = ended(store)
    custody_log.append(folder, KEPT)
    assert found(folder).is_kept


def test_what_is_left_of_a_deleted_job_is_none(store: MemoryStore) -> None:
    """The last entry of a deleted job's custody log is no job, nor is a draft's log without a job."""
    folder = ended(store)
    remove_job(folder)
    assert describe(folder, {OURS}) is None
    draft = JobFolder(store, str(uuid4()))
    custody_log.append(draft, "start-requested")
    assert describe(draft, {OURS}) is None


def test_a_damaged_record_is_reported(store: MemoryStore) -> None:
    """A job whose record cannot be read is found, with the reason."""
    folder = ended(store)
    store.blobs[store_keys.job_key(folder.job_id)] = b"{"
    job = found(folder)
    assert (job.kind, job.name, bool(job.problem)) == (None, "", True)


def test_a_store_that_does_not_answer_is_an_error(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs are not called unreadable: what an earlier look found in it stays."""
    folder = ended(store)

    def fails(*_: object) -> bytes:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "read", fails)
    with pytest.raises(StoreUnavailable):
        describe(folder, {OURS})
