"""Every next step that a status offers, taken on the command line. Jobs and commands share this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prefect_collect import jobs
from prefect_collect.cli import run
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.integration.cli.test_refusals import arguments
from tests.integration.cli.test_refusals import desk as desk
from tests.integration.jobs import test_table_collections, test_table_exports
from tests.integration.jobs.every_status import Desk
from tests.integration.jobs.next_steps_table import cells, check_offered

pytestmark = pytest.mark.integration

CHECKS = {JobKind.COLLECTION: test_table_collections.CHECKS, JobKind.EXPORT: test_table_exports.CHECKS}
CELLS = [(kind, *cell) for kind in JobKind for cell in cells(kind, offered=True)]


@pytest.mark.parametrize(("kind", "status", "step"), CELLS, ids=str)
def test_what_the_status_offers_works(
    desk: Desk, kind: JobKind, status: JobStatus, step: NextStep, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each offered step leads to the status that the specification says; the exit code says what has come of it."""

    def take(desk: Desk, job: jobs.Job, step: NextStep) -> Any:
        capsys.readouterr()
        code = run([*arguments(step, job.id, desk, to=desk.out), "--json"])
        out, err = capsys.readouterr()
        assert code == _code(job, step), err
        if step is NextStep.PREVIEW:
            return json.loads(out)["items"]
        return next((desk.folder / "home").iterdir()) if step is NextStep.DOWNLOAD else None

    check_offered(desk, kind, status, step, CHECKS[kind], take)


def _code(job: jobs.Job, step: NextStep) -> int:
    """What is wrong with a job is mended after a first try, which ends as it did before."""
    again = step is NextStep.RETRY
    return {JobStatus.PARTIALLY_COMPLETED: 3, JobStatus.FAILED: 4}.get(job.status, 0) if again and job.status else 0
