"""The table of collections: each status reached for real, each next step taken, or refused where it is not offered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from prefect_collect import custody, jobs
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.packages import verify
from prefect_collect.statuses import (
    TASK_OF_STATUS,
    JobKind,
    JobStatus,
    NextStep,
    TaskStatus,
    job_statuses,
    next_steps,
    require_transition,
)
from tests.engine.driving import check_account, held
from tests.integration.jobs.reaching import FILES, Desk, Reached, reach, take, when
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

_KIND = JobKind.COLLECTION
_CELLS = [(status, step) for status in job_statuses(_KIND) for step in NextStep]
_REFUSED = [(status, step) for status, step in _CELLS if step not in next_steps(_KIND, status)]
_ALLOWED = [(status, step) for status, step in _CELLS if step in next_steps(_KIND, status)]
_NOT_RUN = (JobStatus.DRAFTED, JobStatus.QUEUED, JobStatus.IN_PROGRESS)


@pytest.fixture(scope="module")
def reached(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """A job in the status, for all the steps that it refuses."""
    with prefect_server.used(), closing(Reached(tmp_path_factory.mktemp("desks"), _KIND)) as reached:
        yield reached


@pytest.mark.parametrize(("status", "step"), _REFUSED, ids=str)
def test_what_the_status_does_not_offer_is_refused(reached: Reached, status: JobStatus, step: NextStep) -> None:
    """The error names the status and what it offers; the job stays as it is."""
    desk, job = reached(status)
    assert job.status is status
    assert job.next_steps == next_steps(_KIND, status)
    tasks = {TASK_OF_STATUS[status], *({TaskStatus.PROCESSING} if status is JobStatus.IN_PROGRESS else ())}
    assert job.task_status in tasks
    before = len(custody.check_chain(job.folder).entries)
    with pytest.raises(ActionNotAllowed) as refused:
        take(desk, job, step)
    assert all(repr(str(word)) in str(refused.value) for word in (status, step, *job.next_steps)), refused.value
    after = jobs.get(job.id)
    assert (after.status, len(after.attempts)) == (status, len(job.attempts))
    assert len(custody.check_chain(job.folder).entries) == before


@pytest.mark.parametrize(("status", "step"), _ALLOWED, ids=str)
def test_what_the_status_offers_works(desk: Desk, status: JobStatus, step: NextStep) -> None:
    """Each offered step leads to the status that the specification says."""
    job = reach(desk, _KIND, status)
    assert job.status is status
    assert len(job.attempts) == (0 if status in _NOT_RUN else 1)
    if status is JobStatus.CANCELED:
        desk.mend()
    _AFTER[step](desk, job, take(desk, job, step))
    leads_to = JobStatus.CANCELED if step is NextStep.CANCEL else JobStatus.QUEUED
    if step in (NextStep.START, NextStep.RETRY, NextStep.CANCEL):
        require_transition(_KIND, status, leads_to)


def _ran_again(desk: Desk, job: jobs.Job, _: object) -> None:
    """It was run at once in this process, as no worker is there; mended, another attempt completes it."""
    again = jobs.get(job.id)
    if job.status in (JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED):
        assert again.status is job.status
        desk.mend()
        again = jobs.retry(job.id)
    assert (again.status, again.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    assert again.result is not None
    assert again.result.attempt == len(again.attempts) > len(job.attempts)
    assert [result.status for result in again.attempts[: len(job.attempts)]] == [one.status for one in job.attempts]
    assert len(held(again.folder)) >= FILES
    check_account(again.folder)


def _canceled(desk: Desk, job: jobs.Job, _: object) -> None:
    """It has stopped, and left a receipt if it had begun."""
    after = when(job, JobStatus.CANCELED)
    assert after.task_status is TaskStatus.CANCELED
    if job.status is JobStatus.QUEUED:
        assert after.folder.attempts() == []
        assert "before it was started" in after.message or "nothing was started" in after.message
        return
    assert after.result is not None
    assert after.result.receipt is not None
    counts = after.result.counts
    assert counts.succeeded + counts.not_attempted == counts.found <= FILES
    assert "Canceled" in after.message
    check_account(after.folder)


def _deleted(desk: Desk, job: jobs.Job, _: object) -> None:
    """Prefect has no run of it, the staging store nothing but the last line of its custody log."""
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)
    left = [blob.key for blob in job.folder.store.list(f"{job.id}/")]
    assert [key.rpartition("/")[0] for key in left] == [f"{job.id}/custody"]
    assert custody.check_chain(job.folder).is_deleted
    assert job.id not in [one.id for one in jobs.list_jobs(store=desk.store)]


def _previewed(desk: Desk, job: jobs.Job, rows: object) -> None:
    assert isinstance(rows, list)
    assert rows[0]["path"] == "00.txt"
    assert jobs.get(job.id).status is job.status


def _exported(desk: Desk, job: jobs.Job, result: object) -> None:
    (package,) = desk.out.glob("*.zip")
    assert verify(package).valid
    assert jobs.get(job.id).status is job.status


_AFTER = {
    NextStep.START: _ran_again,
    NextStep.RETRY: _ran_again,
    NextStep.CANCEL: _canceled,
    NextStep.DELETE: _deleted,
    NextStep.PREVIEW: _previewed,
    NextStep.EXPORT: _exported,
}
