"""The table of exports: each status is reached with a real job, and each next step is taken or refused.

A job goes through several statuses, and takes in each of them all steps that the status refuses, and those that read.
The steps that it takes to go on are offered; each status that offers Delete has a job that takes it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.packages import verify
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.integration.jobs.every_status import FILES, Desk, reach, take
from tests.integration.jobs.next_steps_table import (
    canceled_one_behind_another,
    check_deleted,
    check_other_steps,
    going_on,
    stopped,
)

pytestmark = pytest.mark.integration

_KIND = JobKind.EXPORT


def test_one_that_awaits_its_collection(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Awaiting collection: Delete. A refusal names the status and what it offers, and the job stays as it is."""
    awaiting = reach(desk, _KIND, JobStatus.AWAITING_COLLECTION)
    check_other_steps(desk, awaiting, CHECKS, capsys)
    _deleted(desk, awaiting, take(desk, awaiting, NextStep.DELETE))


def test_from_a_failure_to_the_end(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Failed: Retry, Delete; Partially completed: Retry, Delete. Download works; everything else is refused."""
    collection = desk.staged()
    desk.take_name(collection)
    failed = desk.exported(collection)
    assert failed.status is JobStatus.FAILED
    check_other_steps(desk, failed, CHECKS, capsys)
    other = desk.exported(collection)
    _deleted(desk, other, take(desk, other, NextStep.DELETE))

    desk.mend()
    desk.lose_segment(collection)
    partial = going_on(desk, failed, NextStep.RETRY, JobStatus.PARTIALLY_COMPLETED)
    check_other_steps(desk, partial, CHECKS, capsys, reads_by_command=True)
    other = desk.exported(collection, desk.folder / "elsewhere")
    assert other.status is JobStatus.PARTIALLY_COMPLETED
    _deleted(desk, other, take(desk, other, NextStep.DELETE))

    desk.mend()
    done = going_on(desk, partial, NextStep.RETRY, JobStatus.SUCCESSFULLY_COMPLETED)
    _delivered(desk, done, None)


def test_one_behind_another(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """In progress, Queued: Cancel; Canceled: Start; Successfully completed: Delete. Download works, the rest does not.

    A canceled export has delivered nothing.
    """
    _, canceled = canceled_one_behind_another(desk, _KIND, CHECKS, capsys)
    desk.gate.touch()
    done = going_on(desk, canceled, NextStep.START, JobStatus.SUCCESSFULLY_COMPLETED)
    _delivered(desk, done, None)
    check_other_steps(desk, done, CHECKS, capsys)
    _deleted(desk, done, take(desk, done, NextStep.DELETE))


def _delivered(desk: Desk, job: jobs.Job, _: object) -> None:
    """Assert that the export has run to its end in this process, and has delivered every item."""
    done = jobs.get(job.id)
    assert done.status is JobStatus.SUCCESSFULLY_COMPLETED, done.message
    assert done.result is not None
    assert done.result.counts.succeeded == FILES
    assert verify(str(done.result.package)).valid


def _canceled(desk: Desk, job: jobs.Job, _: object) -> None:
    """Assert that a canceled export has delivered nothing."""
    after = stopped(job)
    if after.result is not None:
        assert after.result.counts.not_attempted == FILES
        assert not [path for path in desk.folder.glob("slow-*/*") if path.suffix == ".zip"]


def _deleted(desk: Desk, job: jobs.Job, _: object) -> None:
    """Assert that the packages of a deleted export are kept."""
    package = job.result and job.result.package
    check_deleted(desk, job, _)
    assert not package or Path(str(package)).exists()


def _downloaded(desk: Desk, job: jobs.Job, home: object) -> None:
    assert verify(str(home)).valid
    assert jobs.get(job.id).status is job.status


CHECKS = {
    NextStep.START: _delivered,
    NextStep.CANCEL: _canceled,
    NextStep.DELETE: _deleted,
    NextStep.DOWNLOAD: _downloaded,
}
