"""Concurrency limits that a user changes in Prefect: they take effect at once, and no job sets them back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import State

from prefect_collect import jobs
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.jobs import _start
from prefect_collect.runs.labels import QUEUED, label_of, process_of
from prefect_collect.runs.states import put
from prefect_collect.statuses import JobStatus
from tests.integration.artifacts.test_live_page import versions
from tests.integration.jobs.every_status import Desk, status_of, until
from tests.integration.prefect_server import PrefectServer
from tests.integration.runs.test_events import events_of
from tests.integration.served import buttons
from tests.integration.served.test_auto_exports import export_of
from tests.integration.served.test_buttons import run_of, settled, started

pytestmark = pytest.mark.integration


class Limit:
    """The limit of a desk's collections, as Prefect's Concurrency page shows and changes it."""

    def __init__(self, desk: Desk, client: SyncPrefectClient) -> None:
        self._name, self._client = f"collection:{desk.name}", client

    def change(self, limit: int) -> None:
        """Save another limit."""
        self._client.update_global_concurrency_limit(self._name, GlobalConcurrencyLimitUpdate(limit=limit))

    @property
    def present(self) -> tuple[int, int]:
        """The limit, and how many slots are taken."""
        found = self._client.read_global_concurrency_limit_by_name(self._name)
        assert found.active
        return found.limit, found.active_slots


def queued(desk: Desk, says: str) -> jobs.Job:
    """Return another collection of the source, once its message gives that reason for waiting."""
    job = jobs.draft_collection(desk.slow(), store=desk.store)
    buttons.resume(job)
    until(lambda: says in jobs.get(job.id).message, lambda: f"{says!r}; it says {jobs.get(job.id).message!r}")
    return job


def told(server: PrefectServer, job: jobs.Job) -> list[str]:
    """Return the statuses of the events of a job that ran once, in their order."""
    return [event["event"].rpartition(".")[2] for event in events_of(server, job.id, 4)]


def test_a_limit_that_a_user_changes(desk: Desk, served: PrefectServer) -> None:
    """2 lets two jobs be In progress, and the third waits; 0 holds the source back; a higher limit starts waiting jobs.

    No job sets it back. However a job waits, it sends the event of being queued once.
    """
    first = jobs.draft_collection(desk.slow(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    buttons.resume(first)
    until(first.folder.moves_data, "its first items")
    with get_client(sync_client=True) as client:
        limit = Limit(desk, client)
        assert limit.present == (1, 1)
        second, third = queued(desk, f"{first.id[:8]}); it is the next"), queued(desk, "1 before it")
        limit.change(2)
        until(second.folder.moves_data, lambda: f"the start of the second; it is {run_of(second).state}")
        assert [status_of(job) for job in (first, second)] == [JobStatus.IN_PROGRESS] * 2
        place = jobs.place_in_queue(jobs.get(third.id))
        assert place is not None
        assert (sorted(place.holders), place.before) == (sorted((first.id, second.id)), 0)
        assert limit.present == (2, 2)

        desk.gate.touch()
        first, second, third = (settled(job, "Successfully completed") for job in (first, second, third))
        ends = [job.attempts[0].ended for job in (first, second)]
        assert min(ends) <= third.attempts[0].started
        until(lambda: limit.present == (2, 0), lambda: f"their slots; it is {limit.present}")

        limit.change(0)
        fourth = queued(desk, "limit is 0")
        assert not [line for line in recover(client) if fourth.id in line]
        assert "raise it in Prefect" in jobs.get(fourth.id).message
        assert run_of(fourth).state_name == "Queued"
        limit.change(3)
        settled(fourth, "Successfully completed")
        until(lambda: limit.present == (3, 0), lambda: f"its slot; it is {limit.present}")
    once = ["drafted", "queued", "in-progress", "successfully-completed"]
    assert [told(served, job) for job in (first, second, third, fourth)] == [once] * 4
    export = settled(export_of(first), "Successfully completed")
    assert told(served, export) == ["awaiting-collection", *once[1:]]


def test_a_limit_of_0_while_a_job_runs(desk: Desk) -> None:
    """The job runs to its end; the next starts when the limit is raised, though Prefect takes no slot back at 0."""
    with get_client(sync_client=True) as client:
        first, limit = started(desk), Limit(desk, client)
        second = queued(desk, "it is the next")
        process = process_of(run_of(first).labels)
        limit.change(0)
        desk.gate.touch()
        settled(first, "Successfully completed")
        until(lambda: not is_alive(process), "the end of its process")
        assert limit.present == (0, 1)
        assert status_of(second) is JobStatus.QUEUED
        limit.change(1)
        settled(second, "Successfully completed")


def test_a_worker_that_is_quick(desk: Desk, served: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs the job before `start` has returned: each event is sent once, and the job's end is its last state."""

    def put_and_run(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> None:
        put(client, run_id, state)
        until(lambda: client.read_flow_run(run_id).state_name == "Successfully completed", "its end")

    monkeypatch.setattr(_start, "put", put_and_run)
    job = jobs.start(jobs.draft_collection(desk.source(), store=desk.store).id)
    assert told(served, job) == ["drafted", "queued", "in-progress", "successfully-completed"]
    assert [page.description.rpartition(": ")[2] for page in versions(f"job-{job.id}")] == ["Successfully completed"]
    assert label_of(run_of(job), QUEUED) == ""
