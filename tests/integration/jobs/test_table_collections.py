"""The table of collections: each status is reached with a real job, and each next step is taken or refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefect_collect import jobs
from prefect_collect.packages import verify
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.integration.jobs.every_status import FILES, Desk, Reached
from tests.integration.jobs.next_steps_table import (
    cells,
    check_deleted,
    check_harmless,
    check_offered,
    harmless_cells,
    reached_jobs,
    run_again,
    stopped,
)
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account, held

pytestmark = pytest.mark.integration

_KIND = JobKind.COLLECTION


@pytest.fixture(scope="module")
def reached(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reached]:
    """A factory of jobs in a status, which keeps a job for all the steps that its status refuses."""
    with reached_jobs(prefect_server, tmp_path_factory, _KIND) as reached:
        yield reached


@pytest.mark.parametrize(("status", "step"), harmless_cells(_KIND), ids=str)
def test_what_the_status_does_not_offer_is_refused_and_reading_works(
    reached: Reached, status: JobStatus, step: NextStep, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error names the status and what it offers; Preview, Export and Download work; the job stays as it is."""
    check_harmless(reached, _KIND, status, step, CHECKS, capsys)


@pytest.mark.parametrize(("status", "step"), cells(_KIND), ids=str)
def test_what_the_status_offers_works(desk: Desk, status: JobStatus, step: NextStep) -> None:
    """Each offered step leads to the status that the specification names."""
    check_offered(desk, _KIND, status, step, CHECKS)


def _ran_again(desk: Desk, job: jobs.Job, _: object) -> None:
    again = run_again(desk, job)
    assert len(held(again.folder)) >= FILES
    check_account(again.folder)


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
    NextStep.START: _ran_again,
    NextStep.RETRY: _ran_again,
    NextStep.CANCEL: _canceled,
    NextStep.DELETE: check_deleted,
    NextStep.PREVIEW: _previewed,
    NextStep.EXPORT: _exported,
}
