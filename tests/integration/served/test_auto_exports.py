"""Exports that follow a collection which `serve` runs, even when its process dies at an unfortunate moment."""

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
from tests.integration.jobs.gated_source import GatedFiles
from tests.integration.served.test_buttons import settled
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration


def export_of(collection: jobs.Job) -> jobs.Job:
    """Return the collection's only export, once it exists."""
    with get_client(sync_client=True) as client:
        (run,) = until(lambda: exports_of(client, UUID(collection.id)), "its export")
    return jobs.get(run.id)


def exported(collection: jobs.Job, files: int = FILES) -> None:
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
    exported(collection)


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
    exported(job)


@pytest.mark.parametrize("moment", ["last shard", "result", "state"])
def test_its_process_dies(desk: Desk, moment: str) -> None:
    """After its last shard, after its result, or after its final state: the job ends well and the export starts."""
    dies = desk.folder / "dies"
    dies.write_text(moment)
    desk.gate.touch()
    source = GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, dies=dies)
    auto = AutoExport(destination=str(desk.out))
    job = jobs.start(jobs.draft_collection(source, store=desk.store, auto_export=auto).id)
    until(lambda: not dies.exists(), "the death of its process")
    job = settled(job, "Successfully completed")
    assert [result.attempt for result in job.attempts] == ([1, 2] if moment == "last shard" else [1])
    assert job.result is not None
    assert job.result.counts.succeeded == FILES
    check_account(job.folder)
    exported(job)
