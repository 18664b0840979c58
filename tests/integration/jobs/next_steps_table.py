"""What holds for each cell of the table of statuses and next steps, of collections as of exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import pytest

from prefect_collect import jobs
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.folder import operator
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
from tests.integration.jobs.every_status import Desk, Reached, reach, take, when
from tests.integration.prefect_server import PrefectServer

Cell = tuple[JobStatus, NextStep]
_NOT_RUN = {
    JobKind.COLLECTION: (JobStatus.DRAFTED, JobStatus.QUEUED, JobStatus.IN_PROGRESS),
    JobKind.EXPORT: (JobStatus.AWAITING_COLLECTION, JobStatus.QUEUED, JobStatus.IN_PROGRESS, JobStatus.FAILED),
}
"""Where no attempt has ended; an export that fails here was refused before it began one."""

Checks = Mapping[NextStep, Callable[[Desk, jobs.Job, Any], None]]


def cells(kind: JobKind, *, offered: bool) -> list[Cell]:
    """The statuses with each next step that they offer, or that they do not."""
    table = [(status, step) for status in job_statuses(kind) for step in NextStep]
    return [(status, step) for status, step in table if (step in next_steps(kind, status)) is offered]


@contextmanager
def reached_jobs(server: PrefectServer, factory: pytest.TempPathFactory, kind: JobKind) -> Iterator[Reached]:
    """A job in the status, for all the steps that it refuses."""
    with server.used(), closing(Reached(factory.mktemp("desks"), kind)) as reached:
        yield reached


def check_refused(reached: Reached, kind: JobKind, status: JobStatus, step: NextStep) -> None:
    """The error names the status and what it offers; the job stays as it is."""
    desk, job = reached(status)
    assert job.status is status
    assert job.next_steps == next_steps(kind, status)
    tasks = {TASK_OF_STATUS[status], *({TaskStatus.PROCESSING} if status is JobStatus.IN_PROGRESS else ())}
    assert job.task_status in tasks
    before = len(custody_log.check_chain(job.folder).entries)
    with pytest.raises(ActionNotAllowed) as refused:
        take(desk, job, step)
    assert all(repr(str(word)) in str(refused.value) for word in (status, step, *job.next_steps)), refused.value
    after = jobs.get(job.id)
    assert (after.status, len(after.attempts)) == (status, len(job.attempts))
    assert len(custody_log.check_chain(job.folder).entries) == before


def check_offered(
    desk: Desk,
    kind: JobKind,
    status: JobStatus,
    step: NextStep,
    checks: Checks,
    take: Callable[[Desk, jobs.Job, NextStep], Any] = take,
) -> None:
    """The step leads to the status that the specification says."""
    job = reach(desk, kind, status)
    assert job.status is status
    assert len(job.attempts) == (0 if status in _NOT_RUN[kind] else 1)
    if status is JobStatus.CANCELED:
        desk.mend()
    checks[step](desk, job, take(desk, job, step))
    if step in (NextStep.START, NextStep.RETRY, NextStep.CANCEL):
        require_transition(kind, status, JobStatus.CANCELED if step is NextStep.CANCEL else JobStatus.QUEUED)


def run_again(desk: Desk, job: jobs.Job) -> jobs.Job:
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
    return again


def stopped(job: jobs.Job) -> jobs.Job:
    """It has stopped, and left a receipt if it had begun."""
    after = when(job, JobStatus.CANCELED)
    assert after.task_status is TaskStatus.CANCELED
    if job.status is JobStatus.QUEUED:
        assert after.folder.attempts() == []
        assert "before it was started" in after.message or "nothing was started" in after.message
    else:
        assert after.result is not None
        assert after.result.receipt is not None
    return after


def check_deleted(desk: Desk, job: jobs.Job, _: object) -> None:
    """Prefect has no run of it, the staging store nothing but the last line of its custody log: who deleted it."""
    with pytest.raises(JobNotFound):
        jobs.get(job.id, desk.store)
    left = [blob.key for blob in job.folder.store.list(f"{job.id}/")]
    if job.kind is JobKind.EXPORT and job.status in _NOT_RUN[JobKind.EXPORT]:  # it never had a folder
        assert left == []
    else:
        [entry] = custody_log.check_chain(job.folder).entries
        assert (entry.action, entry.who) == (custody_log.DELETED, operator())
        assert left == [store_keys.custody_key(job.id, entry.number)]
    assert job.id not in [one.id for one in jobs.list_jobs(store=desk.store)]
