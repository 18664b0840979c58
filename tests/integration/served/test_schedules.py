"""Collections that a schedule starts: they run, queue behind one another, and are skipped on a suspended source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Scheduled

from prefect_collect import collect, jobs
from prefect_collect.blocks import FileSource
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.runs.deployment_lookup import deployments
from prefect_collect.runs.labels import process_of
from prefect_collect.runs.queries import history
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus, TaskStatus, from_prefect_state
from tests.integration.jobs.every_status import FILES, Desk, until, when
from tests.integration.served import buttons
from tests.integration.served.test_buttons import run_of, settled

pytestmark = pytest.mark.integration


def deployment() -> UUID:
    """Return the deployment "collection job/prefect-collect"."""
    with get_client(sync_client=True) as client:
        return deployments(client, JobKind.COLLECTION)[0].id


def due(desk: Desk, source: FileSource, query: dict[str, Any] | None = None) -> jobs.Job:
    """Return a collection that is due in a second, as a schedule makes one."""
    parameters = collect.serialize_parameters({"source": source, "store": desk.store, "query": query})
    state: Any = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=1))
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment(), parameters=parameters, state=state)
    return jobs.get(run.id)


def was_at_first(job: jobs.Job) -> tuple[JobStatus | None, TaskStatus]:
    """Return the job's statuses in the state in which its run was made: a worker may have taken it since."""
    with get_client(sync_client=True) as client:
        state = history(client, UUID(job.id))[0]
    found = from_prefect_state(job.kind, state.type.value, state.name)
    return found.job, found.task


def has_ended(job: jobs.Job) -> bool:
    """Return whether the job's process is gone."""
    return not is_alive(process_of(run_of(job).labels))


def test_one_that_is_due_runs(desk: Desk) -> None:
    """It is Queued until then, collects by a list of patterns in its store, and ends with its true status."""
    saved = jobs.save_query({"exclude": ["00.txt", *(f"none/{n:06}" for n in range(50_000))]}, desk.store)
    job = due(desk, desk.source(), saved)
    assert was_at_first(job) == (JobStatus.QUEUED, TaskStatus.PENDING)
    job = settled(job, "Successfully completed")
    assert job.result is not None
    assert job.result.counts.succeeded == FILES - 1
    assert len(jobs.query_of(job).exclude) == 50_001


def test_one_that_is_due_while_another_runs(desk: Desk) -> None:
    """It is Queued without a process, names the job that it waits for, and starts by itself. So is a job that a user
    starts; canceled while Queued, it leaves the queue, frees its place for the next job, and never runs.
    """
    first = due(desk, desk.slow())
    until(first.folder.moves_data, "its first items")
    second = jobs.start(jobs.draft_collection(desk.slow(), store=desk.store).id)
    until(lambda: first.id[:8] in jobs.get(second.id).message, "what the second waits for")
    third = due(desk, desk.slow())
    until(lambda: jobs.get(third.id).message.startswith("Waiting for"), "what the third waits for")
    for job in (second, third):
        until(partial(has_ended, job), "the end of its process")
        assert run_of(job).state_name == "Queued"
    buttons.cancel(second)
    settled(second, "Canceled")
    assert second.folder.attempts() == []
    place = jobs.place_in_queue(jobs.get(third.id))
    assert place is not None
    assert (place.holders, place.before) == ((first.id,), 0)
    desk.gate.touch()
    for job in (first, third):
        settled(job, "Successfully completed")
    results = [jobs.get(job.id).result for job in (first, third)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0].ended <= results[1].started
    assert second.folder.attempts() == []


def test_a_source_that_is_not_active(desk: Desk) -> None:
    """The run ends as Skipped, with the reason, and Start runs it when the source is active again.

    `test_buttons` has a source that is suspended.
    """
    source = desk.source(lifecycle=LifecycleStatus.ARCHIVED)
    source.save(desk.name)
    job = settled(due(desk, source), "Skipped")
    assert (job.status, job.task_status) == (JobStatus.CANCELED, TaskStatus.SKIPPED)
    assert "ARCHIVED" in job.message
    assert not job.folder.exists()
    source.lifecycle = LifecycleStatus.ACTIVE
    source.save(desk.name, overwrite=True)
    jobs.start(job.id)
    settled(job, "Successfully completed")


@pytest.fixture
def scheduled(desk: Desk) -> Iterator[DeploymentSchedule]:
    """A schedule on the deployment, as a user adds one in the UI, with the parameters in it."""
    parameters = collect.serialize_parameters({"source": desk.source(), "store": desk.store})
    soon = datetime.now(UTC) + timedelta(seconds=3)
    with get_client(sync_client=True) as client:
        body = {
            "schedule": IntervalSchedule(interval=timedelta(seconds=20), anchor_date=soon).model_dump(mode="json"),
            "active": True,
            "parameters": parameters,
        }
        path = f"/deployments/{deployment()}/schedules"
        (made,) = client._client.post(path, json=[body]).json()
        yield DeploymentSchedule.model_validate(made)
        client._client.delete(f"{path}/{made['id']}")


def test_a_schedule(desk: Desk, scheduled: DeploymentSchedule) -> None:
    """A schedule of the deployment starts collections by itself; later runs, which Prefect has already planned, are
    listed when they are due.
    """
    del scheduled

    def of_this_desk() -> list[jobs.Job]:
        return [job for job in jobs.list_jobs(None) if job.parameters.get("store") == desk.store]

    until(lambda: any(job.status is JobStatus.SUCCESSFULLY_COMPLETED for job in of_this_desk()), "the first", every=2)
    ended = next(job for job in of_this_desk() if job.status is JobStatus.SUCCESSFULLY_COMPLETED)
    assert when(ended, JobStatus.SUCCESSFULLY_COMPLETED).result is not None
    until(lambda: any(job.id != ended.id for job in of_this_desk()), "the next, when due", every=2)


def test_a_schedule_of_drafts(desk: Desk) -> None:
    """Its collections are saved as drafts, and not started, if it asks for that."""
    made = jobs.schedule_collection(desk.source(), store=desk.store, cron="0 0 1 1 *", as_draft=True)
    try:
        assert made.parameters["as_draft"] is True
    finally:
        jobs.delete_schedule(made.id)
