"""Jobs that a program runs itself (`here=True`), although a `serve` runs jobs of the same deployments."""

from __future__ import annotations

import os
import threading
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import jobs
from prefect_collect.runs.queries import history
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import Desk, until

pytestmark = pytest.mark.integration


def check_run_here(job: jobs.Job, status: JobStatus = JobStatus.SUCCESSFULLY_COMPLETED) -> None:
    """Check that the job has ended, that this process made all its attempts, and that no worker took it."""
    assert (job.status, job.message) == (status, job.message)
    made_by = [job.folder.claimed(attempt)["pid"] for attempt in job.folder.attempts()]
    assert made_by == [os.getpid()] * len(made_by)
    with get_client(sync_client=True) as client:
        states = [state.name for state in history(client, UUID(job.id))]
    assert "Pending" not in states  # the name that Prefect's runner gives


def test_no_worker_takes_a_job_that_runs_here(desk: Desk) -> None:
    """An export, a draft and a retry that a program runs itself are ended when the call returns.

    The first export is of a collection that Prefect does not have: the recovery of `serve` must not take the export for
    one that awaits it.
    """
    desk.break_one()
    collection = desk.staged()
    check_run_here(jobs.start_export(collection.id, desk.folder / "first", store=desk.store, here=True))
    draft = jobs.draft_collection(desk.source(), store=desk.store)
    check_run_here(jobs.start(draft.id, here=True), JobStatus.PARTIALLY_COMPLETED)
    desk.mend()
    check_run_here(jobs.retry(draft.id, here=True))
    for n in range(3):
        check_run_here(jobs.start_export(draft.id, desk.folder / f"more-{n}", here=True))


def test_no_worker_takes_a_job_that_waits_here(desk: Desk) -> None:
    """A job that waits in its program for its turn is not released to the worker when the job before it ends."""
    before, waiting = (
        jobs.draft_collection(desk.slow(), name=name, store=desk.store, concurrency=1) for name in ("before", "waiting")
    )
    jobs.start(before.id, here=False)
    until(lambda: jobs.get(before.id).status is JobStatus.IN_PROGRESS, "the worker's job")
    ended: list[jobs.Job] = []
    thread = threading.Thread(target=lambda: ended.append(jobs.start(waiting.id, here=True)))
    thread.start()
    until(lambda: "Waiting for before" in jobs.get(waiting.id).message, "the reason of the wait")
    assert jobs.get(waiting.id).status is JobStatus.QUEUED
    desk.gate.touch()
    thread.join(100)
    assert len(ended) == 1
    check_run_here(ended[0])
