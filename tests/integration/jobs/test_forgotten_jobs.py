"""Jobs whose run was deleted in Prefect: they are read from their staging store, and can be deleted there."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import jobs
from prefect_collect.cli import run
from prefect_collect.codes import CANCELED
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.job_folder import custody_log, process_identity
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.packages import verify
from prefect_collect.runs.session import Session, register_session, release_session
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus
from prefect_collect.stores import open_store
from prefect_collect.threads.stop import Stop
from tests.integration.jobs.every_status import FILES, Desk, take

pytestmark = pytest.mark.integration


def forgotten(job: jobs.Job) -> jobs.Job:
    """Delete the job's run, as the server's retention does, and return the job."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(job.id))
    return job


def staged(desk: Desk, status: JobStatus) -> jobs.Job:
    """Return a collection of which Prefect has no run, in that status."""
    source, stop = desk.source(), Stop()
    if status is JobStatus.PARTIALLY_COMPLETED:
        desk.break_one()
    elif status is JobStatus.FAILED:
        desk.lose_root()
    elif status is JobStatus.CANCELED:
        stop.set(CANCELED)
    return desk.staged(source, stop)


@pytest.mark.parametrize(
    "status",
    [JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED, JobStatus.CANCELED],
    ids=str,
)
def test_a_collection(desk: Desk, status: JobStatus) -> None:
    """The job is listed with its recorded result and the task status UNKNOWN; steps that need a run are refused.

    Prefect never had a run of these jobs; the jobs below have had one.
    """
    job = staged(desk, status)
    assert (job.status, job.task_status) == (status, TaskStatus.UNKNOWN)
    assert "Prefect has no run of this job any more" in job.message
    assert job.result is not None
    assert job.result.status is status
    assert [one.id for one in jobs.list_jobs(store=desk.store)] == [job.id]
    if NextStep.PREVIEW in job.next_steps:
        assert len(jobs.preview(job.id, 100, desk.store)) == FILES
        take(desk, job, NextStep.EXPORT)
        (package,) = desk.out.iterdir()
        assert verify(package).valid
    for step in (jobs.retry, jobs.start, jobs.cancel):
        with pytest.raises(ActionNotAllowed) as refused:
            step(job.id, store=desk.store)
        assert job.id in str(refused.value) or repr(str(status)) in str(refused.value)
    jobs.delete(job.id, store=desk.store)
    assert [one.id for one in jobs.list_jobs(store=desk.store, kind=JobKind.COLLECTION)] == []
    assert custody_log.check_chain(job.folder).is_deleted
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)


def test_an_export(desk: Desk) -> None:
    """The package of an export without a run can be downloaded."""
    job = forgotten(desk.exported(desk.staged()))
    assert jobs.get(job.id, desk.store).task_status is TaskStatus.UNKNOWN
    assert verify(take(desk, job, NextStep.DOWNLOAD)).valid
    with pytest.raises(ActionNotAllowed):
        jobs.retry(job.id, store=desk.store)
    jobs.delete(job.id, store=desk.store)


def test_one_that_was_in_progress(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """A job without a recorded end has no status, and can be deleted once its process is gone."""
    job = desk.staged()
    with subprocess.Popen(["sleep", "600"]) as process:
        claim_attempt(job.folder, {"pid": process.pid, "pid_started": process_identity._started(process.pid)})
        left = jobs.get(job.id, desk.store)
        assert (left.status, left.task_status, left.next_steps) == (None, TaskStatus.UNKNOWN, ())
        for step in (jobs.retry, jobs.delete, jobs.cancel, jobs.start):
            with pytest.raises(ActionNotAllowed):
                step(job.id, store=desk.store)
        with pytest.raises(ActionNotAllowed, match="a process works on it"):
            jobs.delete(job.id, store=desk.store)
        process.kill()
    check_only_delete(desk, job.id, capsys)


def test_one_that_was_never_started(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """An unstarted job can only be deleted, and not while it waits in this process."""
    made = JobRecord(str(uuid4()), JobKind.COLLECTION, "queued", {"name": desk.name}, "queued")
    folder = JobFolder(open_store(desk.store), made.job_id)
    create_job(folder, made)
    waiting: Any = SimpleNamespace(id=UUID(made.job_id))
    session = Session(waiting)
    register_session(session)
    try:
        assert jobs.get(made.job_id, desk.store).next_steps == ()
        with pytest.raises(ActionNotAllowed):
            jobs.delete(made.job_id, store=desk.store)
    finally:
        release_session(session)
    assert "No attempt was started" in jobs.get(made.job_id, desk.store).message
    check_only_delete(desk, made.job_id, capsys)


def check_only_delete(desk: Desk, job_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Python and the command line offer only Delete, and it works."""
    job = jobs.get(job_id, desk.store)
    assert (job.status, job.task_status, job.next_steps) == (None, TaskStatus.UNKNOWN, (NextStep.DELETE,))
    assert jobs.list_jobs(store=desk.store) == [job]
    for step in (jobs.retry, jobs.cancel, jobs.start):
        with pytest.raises(ActionNotAllowed):
            step(job_id, store=desk.store)
    capsys.readouterr()
    assert run(["show", job_id, "--store", desk.store]) == 0
    assert f"prefect-collect delete {job_id}" in capsys.readouterr().out
    assert run(["show", job_id, "--store", desk.store, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["task_status"], shown["next_steps"]) == (None, "UNKNOWN", ["Delete"])
    assert run(["delete", job_id, "--store", desk.store, "--yes"]) == 0, capsys.readouterr().err
    assert jobs.list_jobs(store=desk.store) == []
    assert [entry.action for entry in custody_log.entries(job.folder)] == [custody_log.DELETED]
