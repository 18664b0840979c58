"""The table of collections: each status is reached with a real job, and each next step is taken or refused.

A job goes through several statuses, and takes in each of them all steps that the status refuses, and those that read.
The steps that it takes to go on are offered; each status that offers Delete has a job that takes it.
"""

from __future__ import annotations

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
from tests.support.run_attempts import check_account, held

pytestmark = pytest.mark.integration

_KIND = JobKind.COLLECTION


def test_from_a_draft_to_the_end(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Drafted: Start, Delete; Failed, Partially completed: Retry, Delete; Successfully completed: Delete.

    A refusal names the status and what it offers; Preview, Export and Download work; the job stays as it is.
    """
    source, draft = desk.source(), reach(desk, _KIND, JobStatus.DRAFTED)
    check_other_steps(desk, draft, CHECKS, capsys)
    _deleted(desk, reach(desk, _KIND, JobStatus.DRAFTED))

    desk.lose_root()
    failed = going_on(desk, draft, NextStep.START, JobStatus.FAILED)
    check_other_steps(desk, failed, CHECKS, capsys)
    _deleted(desk, desk.collected(source))

    desk.mend()
    desk.break_one()
    partial = going_on(desk, failed, NextStep.RETRY, JobStatus.PARTIALLY_COMPLETED)
    check_other_steps(desk, partial, CHECKS, capsys, reads_by_command=True)
    _deleted(desk, desk.collected(source))

    desk.mend()
    done = going_on(desk, partial, NextStep.RETRY, JobStatus.SUCCESSFULLY_COMPLETED)
    assert len(held(done.folder)) == FILES + 1
    check_account(done.folder)
    check_other_steps(desk, done, CHECKS, capsys)
    _deleted(desk, done)


def test_one_behind_another(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """In progress, Queued: Cancel; Canceled: Start, Delete. Everything else is refused; see above."""
    queued, canceled = canceled_one_behind_another(desk, _KIND, CHECKS, capsys)
    _deleted(desk, queued)
    desk.gate.touch()
    done = going_on(desk, canceled, NextStep.START, JobStatus.SUCCESSFULLY_COMPLETED)
    assert len(held(done.folder)) == FILES
    check_account(done.folder)


def _deleted(desk: Desk, job: jobs.Job) -> None:
    check_deleted(desk, job, take(desk, job, NextStep.DELETE))


def _canceled(desk: Desk, job: jobs.Job, _: object) -> None:
    after = stopped(job)
    if after.result is not None:
        counts = after.result.counts
        assert counts.succeeded + counts.not_attempted == counts.found <= FILES
        assert "Canceled" in after.message
        check_account(after.folder)


def _previewed(desk: Desk, job: jobs.Job, rows: object) -> None:
    assert isinstance(rows, list)
    assert rows[0]["path"] == "00.txt"
    assert jobs.get(job.id).status is job.status


def _exported(desk: Desk, job: jobs.Job, result: object) -> None:
    (package,) = desk.out.glob("*.zip")
    assert verify(package).valid
    assert jobs.get(job.id).status is job.status


CHECKS = {
    NextStep.CANCEL: _canceled,
    NextStep.DELETE: check_deleted,
    NextStep.PREVIEW: _previewed,
    NextStep.EXPORT: _exported,
}
