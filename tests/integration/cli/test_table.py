"""Every next step that changes a job, taken on the command line. Jobs and commands share this process.

The others are taken on the command line where they are taken from Python: see `next_steps_table.check_harmless`.
"""

from __future__ import annotations

import pytest

from prefect_collect import jobs
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.integration.cli.test_saved_destinations import desk as desk
from tests.integration.jobs import test_table_collections, test_table_exports
from tests.integration.jobs.every_status import Desk
from tests.integration.jobs.next_steps_table import arguments, cells, check_offered, commanded

pytestmark = pytest.mark.integration

CHECKS = {JobKind.COLLECTION: test_table_collections.CHECKS, JobKind.EXPORT: test_table_exports.CHECKS}
CELLS = [(kind, *cell) for kind in JobKind for cell in cells(kind)]


@pytest.mark.parametrize(("kind", "status", "step"), CELLS, ids=str)
def test_what_the_status_offers_works(
    desk: Desk, kind: JobKind, status: JobStatus, step: NextStep, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each offered step leads to the status that the specification names, and has that status's exit code."""

    def take(desk: Desk, job: jobs.Job, step: NextStep) -> None:
        words = arguments(step, job.id, desk.store, desk.out, desk.folder / "home")
        code, _, err = commanded([*words, "--json"], capsys)
        assert code == _code(job, step), err

    check_offered(desk, kind, status, step, CHECKS[kind], take)


def _code(job: jobs.Job, step: NextStep) -> int:
    """Return the exit code of the step: a retry ends as the attempt before it, as its cause is not mended yet."""
    again = step is NextStep.RETRY
    return {JobStatus.PARTIALLY_COMPLETED: 3, JobStatus.FAILED: 4}.get(job.status, 0) if again and job.status else 0
