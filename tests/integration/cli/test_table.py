"""The next steps that change a job, taken on the command line. Jobs and commands share this process.

Each step of each status is taken from Python in `jobs.test_table_collections` and `jobs.test_table_exports`, where
what leaves the job as it is, and what is refused, is taken on the command line too (`next_steps_table`). What the
command adds is held here and in `test_moving` and `test_jobs`: each step once for each kind of job, and the exit codes
and places that depend on the status.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_collect import jobs
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.integration.cli.conftest import Done
from tests.integration.cli.test_saved_destinations import desk as desk
from tests.integration.jobs import test_table_collections, test_table_exports
from tests.integration.jobs.every_status import FILES, Desk, reach
from tests.integration.jobs.next_steps_table import Checks, arguments, check_offered

pytestmark = pytest.mark.integration


def _failed_again(desk: Desk, job: jobs.Job, _: object) -> None:
    """Assert that a retry ran the job once more, and that it ended as before, as its cause is not mended."""
    again = jobs.get(job.id)
    assert (again.status, len(again.attempts)) == (job.status, len(job.attempts) + 1)


CHECKS: dict[JobKind, Checks] = {
    JobKind.COLLECTION: {**test_table_collections.CHECKS, NextStep.RETRY: _failed_again},
    JobKind.EXPORT: {**test_table_exports.CHECKS, NextStep.RETRY: _failed_again},
}
CODES = {JobStatus.PARTIALLY_COMPLETED: 3, JobStatus.FAILED: 4}
"""The exit codes of a retry that ends as the attempt before it."""


def taken(here: Callable[..., Done], desk: Desk, job: jobs.Job, step: NextStep) -> Done:
    """Take the step on the command line."""
    done = here(*arguments(step, job.id, desk.store, desk.out, desk.folder / "home"), "--json")
    expected = CODES.get(job.status, 0) if step is NextStep.RETRY and job.status else 0
    assert done.code == expected, done
    return done


@pytest.mark.parametrize(
    ("kind", "status", "step"),
    [
        (JobKind.COLLECTION, JobStatus.FAILED, NextStep.RETRY),
        (JobKind.COLLECTION, JobStatus.QUEUED, NextStep.CANCEL),
        (JobKind.EXPORT, JobStatus.PARTIALLY_COMPLETED, NextStep.RETRY),
        (JobKind.EXPORT, JobStatus.AWAITING_COLLECTION, NextStep.DELETE),
    ],
    ids=str,
)
def test_what_the_status_offers_works(
    desk: Desk, here: Callable[..., Done], kind: JobKind, status: JobStatus, step: NextStep
) -> None:
    """The step leads to the status that the specification names, and has that status's exit code.

    A retry ends as before, with 4 and with 3. A job that waits is canceled, which has no attempt; an export that has no
    folder is deleted.
    """

    def take(desk: Desk, job: jobs.Job, step: NextStep) -> None:
        taken(here, desk, job, step)

    check_offered(desk, kind, status, step, CHECKS[kind], take)


def test_an_export_is_canceled_and_started_again(desk: Desk, here: Callable[..., Done]) -> None:
    """`cancel` ends an export that is in progress, with nothing delivered; `start` then delivers the package."""
    job = reach(desk, JobKind.EXPORT, JobStatus.IN_PROGRESS)
    CHECKS[JobKind.EXPORT][NextStep.CANCEL](desk, job, taken(here, desk, job, NextStep.CANCEL))
    desk.gate.touch()
    done = taken(here, desk, jobs.get(job.id), NextStep.START).json
    assert (done["status"], done["attempt"], done["succeeded"]) == ("Successfully completed", 2, FILES)
    assert here("verify", done["package"]).code == 0
