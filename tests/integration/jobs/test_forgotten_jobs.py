"""Jobs whose run Prefect no longer has: they are read from their staging store, and can be deleted from there."""

from __future__ import annotations

from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import custody, jobs
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.packages import verify
from prefect_collect.statuses import JobKind, JobStatus, NextStep, TaskStatus
from tests.integration.jobs.reaching import FILES, Desk, reach, take

pytestmark = pytest.mark.integration


def forgotten(job: jobs.Job) -> jobs.Job:
    """The job without its run, as after the server's retention."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(job.id))
    return job


@pytest.mark.parametrize(
    "status",
    [JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED, JobStatus.CANCELED],
    ids=str,
)
def test_a_collection(desk: Desk, status: JobStatus) -> None:
    """It is listed with its recorded result, its task status is UNKNOWN; what needs a run is refused."""
    known = forgotten(reach(desk, JobKind.COLLECTION, status))
    job = jobs.get(known.id, desk.store)
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
    assert custody.check_chain(job.folder).is_deleted
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)


def test_an_export(desk: Desk) -> None:
    """Its package can be fetched."""
    job = forgotten(desk.exported(desk.collected()))
    assert jobs.get(job.id, desk.store).task_status is TaskStatus.UNKNOWN
    assert verify(take(desk, job, NextStep.DOWNLOAD)).valid
    with pytest.raises(ActionNotAllowed):
        jobs.retry(job.id, store=desk.store)
    jobs.delete(job.id, store=desk.store)


def test_one_that_was_in_progress(desk: Desk) -> None:
    """What nobody can say is not guessed: it has no status, and nothing is done with it."""
    job = reach(desk, JobKind.COLLECTION, JobStatus.SUCCESSFULLY_COMPLETED)
    job.folder.claim()
    left = jobs.get(forgotten(job).id, desk.store)
    assert (left.status, left.task_status, left.next_steps) == (None, TaskStatus.UNKNOWN, ())
    for step in (jobs.retry, jobs.delete, jobs.cancel, jobs.start):
        with pytest.raises(ActionNotAllowed):
            step(job.id, store=desk.store)
