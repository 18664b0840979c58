"""Exports that follow a collection which `serve` runs; `test_recovery` has one whose process dies as it ends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import collect, jobs
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.packages import verify
from prefect_collect.runs.deployment_lookup import deployments
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import FILES, Desk, until
from tests.integration.served.test_buttons import settled

pytestmark = pytest.mark.integration


def export_of(collection: jobs.Job) -> jobs.Job:
    """Return the collection's only export, once it exists."""
    with get_client(sync_client=True) as client:
        (run,) = until(lambda: exports_of(client, UUID(collection.id)), "its export")
    return jobs.get(run.id)


def require_exported(collection: jobs.Job, files: int = FILES) -> None:
    """Assert that the export has started and run, and delivered the collection's items."""
    job = settled(export_of(collection), "Successfully completed")
    assert job.result is not None
    assert job.result.counts.succeeded == files
    assert verify(str(job.result.package)).valid


def test_a_run_of_the_deployment(desk: Desk) -> None:
    """A form's values make the export at once; it is shown as awaiting the collection, and then runs."""
    values = {"destination": str(desk.out), "when": "successful", "format": "directory"}
    parameters = collect.serialize_parameters({"source": desk.slow(), "store": desk.store, "auto_export": values})
    with get_client(sync_client=True) as client:
        deployment = deployments(client, JobKind.COLLECTION)[0]
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    collection = jobs.get(run.id)
    waiting = export_of(collection)
    assert waiting.status is JobStatus.AWAITING_COLLECTION
    assert waiting.source == desk.name
    until(collection.folder.moves_data, "its first items")
    assert jobs.get(waiting.id).status is JobStatus.AWAITING_COLLECTION
    desk.gate.touch()
    require_exported(collection)


def test_a_collection_that_is_canceled_and_started_again(desk: Desk) -> None:
    """The export continues to await the collection, and runs when the collection is completed."""
    auto: Any = AutoExport(destination=str(desk.out))
    job = jobs.start(jobs.draft_collection(desk.slow(), store=desk.store, auto_export=auto).id)
    until(job.folder.moves_data, "its first items")
    jobs.cancel(job.id)
    settled(job, "Canceled")
    assert export_of(job).status is JobStatus.AWAITING_COLLECTION
    desk.gate.touch()
    jobs.start(job.id)
    require_exported(job)
