"""Events of status changes, as a real Prefect server keeps them."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.runs.events import EVENTS, SKIPPED, emit_status
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore
from tests import forked
from tests.integration.jobs.every_status import PATIENCE
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def events_of(server: PrefectServer, job_id: str, number: int) -> list[dict[str, Any]]:
    """Return the job's events, once there are that many, oldest first."""
    wanted = {"filter": {"resource": {"id": [f"prefect-collect.job.{job_id}"]}, "order": "ASC"}}
    deadline = time.monotonic() + PATIENCE
    with server.used(), get_client(sync_client=True) as client:
        while True:
            found: list[dict[str, Any]] = client._client.post("/events/filter", json=wanted).json()["events"]
            if len(found) >= number or time.monotonic() > deadline:
                return found
            time.sleep(0.5)  # the condition is polled: the server saves events in batches


def result_of(job_id: str) -> TaskResult:
    """Return a result with counts."""
    counts = Counts(found=3, succeeded=2, failed=1, bytes=10)
    when = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return TaskResult(
        job_id, JobKind.COLLECTION, 1, TaskStatus.COMPLETED_WITH_ERRORS, JobStatus.PARTIALLY_COMPLETED, counts, counts,
        when, when, codes={"access_denied": 1}, store=DirectoryStore("/staging"),
    )  # fmt: skip


def test_a_flow_s_event_names_the_job_its_counts_and_its_run(prefect_server: PrefectServer) -> None:
    """The event holds all that an automation needs for a notification."""

    @flow
    def job() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        job_id = str(context.flow_run.id)
        emit_status(
            JobKind.COLLECTION, JobStatus.PARTIALLY_COMPLETED, job_id=job_id, name="of docs", source="docs",
            message="2 of 3 items were collected.", result=result_of(job_id),
        )  # fmt: skip
        return job_id

    with prefect_server.used():
        job_id = job()
    [event] = events_of(prefect_server, job_id, 1)
    assert event["event"] == "prefect-collect.collection.partially-completed"
    assert event["resource"] == {
        "prefect.resource.id": f"prefect-collect.job.{job_id}",
        "prefect.resource.name": "of docs",
        "prefect-collect.kind": "collection",
        "prefect-collect.status": "Partially completed",
        "prefect-collect.snapshot-group": "Completed",
        "prefect-collect.source": "docs",
    }
    assert event["payload"]["message"] == "2 of 3 items were collected."
    assert event["payload"]["counts"]["failed"] == 1
    assert event["payload"]["report"] == f"/staging/{job_id}/reports/0001/errors.parquet"
    related = {(each["prefect.resource.role"], each["prefect.resource.id"]) for each in event["related"]}
    assert ("flow-run", f"prefect.flow-run.{job_id}") in related
    assert {"flow-run", "flow"} <= {role for role, _ in related}
    assert len([role for role, _ in related if role == "flow-run"]) == 1


def test_every_status_of_both_kinds_has_its_event(prefect_server: PrefectServer) -> None:
    """Prefect keeps each event, in order of sending, from a process that runs no flow and ends at once."""
    job_id, deployment = str(uuid4()), str(uuid4())
    code = (
        "from prefect_collect.runs.events import EVENTS, emit_status\n"
        "for kind, status in EVENTS:\n"
        f"    emit_status(kind, status, job_id={job_id!r}, name='n', deployment_id={deployment!r})\n"
    )
    forked.run([sys.executable, "-c", code], env=prefect_server.environment(), check=True)
    events = events_of(prefect_server, job_id, len(EVENTS))
    assert sorted(event["event"] for event in events) == sorted(EVENTS.values())
    [skipped] = [event for event in events if event["event"] == EVENTS[JobKind.COLLECTION, SKIPPED]]
    assert skipped["resource"]["prefect-collect.status"] == "Canceled"
    assert {each["prefect.resource.role"] for each in skipped["related"]} == {"flow-run", "deployment"}


def test_a_lost_event_ends_nothing(prefect_server: PrefectServer) -> None:
    """No server, a name that is no text, a message of megabytes, a result without a store: nothing is raised."""
    with prefect_server.used():
        bad: Any = object()
        emit_status(JobKind.EXPORT, JobStatus.FAILED, job_id="j", name=bad)
        emit_status(JobKind.EXPORT, JobStatus.DRAFTED, job_id="j", name="exports have no drafts")
        unread = TaskResult.from_json(result_of("j").to_json(), DirectoryStore("/staging"))
        object.__setattr__(unread, "store", None)
        emit_status(JobKind.COLLECTION, JobStatus.FAILED, job_id="j", name="n", message="x" * 10**7, result=unread)
    code = (
        "from prefect_collect.runs.events import *\n"
        "emit_status(JobKind.EXPORT, JobStatus.FAILED, job_id='j', name='n')\n"
    )
    unreachable = {**prefect_server.environment(), "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = forked.run([sys.executable, "-c", code], env=unreachable, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_status_that_two_processes_publish_is_one_event(prefect_server: PrefectServer) -> None:
    """Two processes send the event of one state, and Prefect keeps one event; another state has its own."""
    job_id, occasion = str(uuid4()), uuid4()
    with prefect_server.used():
        for state in (occasion, occasion, uuid4()):
            emit_status(JobKind.EXPORT, JobStatus.QUEUED, job_id=job_id, name="an export", occasion=state)
        emit_status(JobKind.EXPORT, JobStatus.IN_PROGRESS, job_id=job_id, name="an export")
    names = [event["event"].rpartition(".")[2] for event in events_of(prefect_server, job_id, 3)]
    assert sorted(names) == ["in-progress", "queued", "queued"]
