"""The table of exports: each status reached for real, each next step taken, or refused where it is not offered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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
from tests.integration.jobs.reaching import FILES, Desk, Reached, reach, take, when
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

_KIND = JobKind.EXPORT
_CELLS = [(status, step) for status in job_statuses(_KIND) for step in NextStep]
_REFUSED = [(status, step) for status, step in _CELLS if step not in next_steps(_KIND, status)]
_ALLOWED = [(status, step) for status, step in _CELLS if step in next_steps(_KIND, status)]
_NOT_RUN = (JobStatus.AWAITING_COLLECTION, JobStatus.QUEUED, JobStatus.IN_PROGRESS, JobStatus.FAILED)


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
    if step in (NextStep.START, NextStep.RETRY, NextStep.CANCEL):
        require_transition(_KIND, status, JobStatus.CANCELED if step is NextStep.CANCEL else JobStatus.QUEUED)


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
    assert again.result.counts.succeeded == FILES
    assert verify(str(again.result.package)).valid


def _canceled(desk: Desk, job: jobs.Job, _: object) -> None:
    """It has stopped, delivered nothing, and left a receipt if it had begun."""
    after = when(job, JobStatus.CANCELED)
    assert after.task_status is TaskStatus.CANCELED
    if job.status is JobStatus.QUEUED:
        assert after.folder.attempts() == []
        assert "before it was started" in after.message or "nothing was started" in after.message
        return
    assert after.result is not None
    assert after.result.receipt is not None
    assert after.result.counts.not_attempted == FILES
    assert not [path for path in desk.folder.glob("slow-*/*") if path.suffix == ".zip"]


def _deleted(desk: Desk, job: jobs.Job, _: object) -> None:
    """Prefect has no run of it, the staging store nothing but the last line of its custody log; packages stay."""
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)
    left = [blob.key for blob in job.folder.store.list(f"{job.id}/")]
    assert [key.rpartition("/")[0] for key in left] in ([f"{job.id}/custody"], [])
    if job.result is not None and job.result.package is not None:
        assert Path(job.result.package).exists()


def _downloaded(desk: Desk, job: jobs.Job, home: object) -> None:
    assert verify(str(home)).valid
    assert jobs.get(job.id).status is job.status


_AFTER = {
    NextStep.START: _ran_again,
    NextStep.RETRY: _ran_again,
    NextStep.CANCEL: _canceled,
    NextStep.DELETE: _deleted,
    NextStep.DOWNLOAD: _downloaded,
}
