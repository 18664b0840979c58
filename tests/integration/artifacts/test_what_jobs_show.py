"""Whole jobs, and what a user sees of them in Prefect: events, the page, the snapshot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from prefect_collect import collect, jobs
from prefect_collect.artifacts.snapshot import SNAPSHOT_KEY, refresh_snapshot
from prefect_collect.blocks import FileSource
from prefect_collect.escaping import one_line
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.statuses import JobStatus
from tests.integration.artifacts.test_live_page import versions
from tests.integration.prefect_server import PrefectServer
from tests.integration.runs.test_events import events_of

pytestmark = pytest.mark.integration


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    """A source with one file, under a name that no other source has."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "kept").write_bytes(b"x" * 2048)
    return FileSource(root=root, name=f"source {uuid4()}")


def test_a_job_sends_its_statuses_and_is_counted(
    prefect_server: PrefectServer, source: FileSource, tmp_path: Path, every_source: None
) -> None:
    """Queued, In progress and the end are events; there is one page; the snapshot counts the items and bytes."""
    with prefect_server.used():
        result = collect(source=source, store=str(tmp_path / "staging"))
        events = events_of(prefect_server, result.job_id, 3)
        refresh_snapshot()
        assert f"| {source.name} | 1 | 1 | 2.0 KiB | 0 | 0 | 0 bytes |" in versions(SNAPSHOT_KEY)[0].data
        [page] = versions(f"job-{result.job_id}")
    assert {event["event"].rpartition(".")[2] for event in events} == {
        "queued",
        "in-progress",
        "successfully-completed",
    }
    [last] = [event for event in events if event["event"].endswith("completed")]
    assert last["payload"]["counts"]["succeeded"] == 1
    assert last["resource"]["prefect-collect.source"] == source.name
    assert page.description.endswith(": Successfully completed")
    assert page.data.count("# ") >= 3


def told(server: PrefectServer, job: jobs.Job, number: int) -> list[str]:
    """Wait for that many events of a job; return their statuses in order."""
    prefix = f"prefect-collect.{job.kind.value}."
    return [event["event"].removeprefix(prefix) for event in events_of(server, job.id, number)]


def broken(source: FileSource) -> Path:
    """Put a link that leads nowhere into the source, which collects what links lead to; return where it leads."""
    source.follow_symlinks = True
    missing = source.root / "missing"
    (source.root / "broken").symlink_to(missing)
    return missing


def test_the_events_of_a_whole_life(prefect_server: PrefectServer, source: FileSource, tmp_path: Path) -> None:
    """A draft that is started and retried, and the export that awaits it, send each status's event once, in order."""
    missing = broken(source)
    with prefect_server.used():
        wanted = AutoExport(destination=str(tmp_path / "out"), when="successful")
        job = jobs.draft_collection(source, store=tmp_path / "staging", auto_export=wanted)
        assert jobs.start(job.id).status is JobStatus.PARTIALLY_COMPLETED
        with get_client(sync_client=True) as client:
            (run,) = exports_of(client, UUID(job.id))
        export = jobs.get(run.id)
        assert export.status is JobStatus.AWAITING_COLLECTION
        missing.write_text("mended")
        assert jobs.retry(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED
        again = ["queued", "in-progress", "successfully-completed"]
        assert told(prefect_server, export, 4) == ["awaiting-collection", *again]
        assert told(prefect_server, job, 7) == ["drafted", "queued", "in-progress", "partially-completed", *again]


def without_source(run: FlowRun) -> dict[str, Any]:
    """Delete the block of the run's source, and return the run's parameters unchanged."""
    with get_client(sync_client=True) as client:
        client.delete_block_document(UUID(run.parameters["source"]["$ref"]["block_document_id"]))
    return run.parameters


def with_nonsense(run: FlowRun) -> dict[str, Any]:
    """Return parameters that are not valid."""
    return {**run.parameters, "on_empty": "whatever"}


@pytest.mark.parametrize("spoiled", [without_source, with_nonsense])
def test_a_job_that_prefect_cannot_call(
    prefect_server: PrefectServer, source: FileSource, tmp_path: Path, spoiled: Callable[[FlowRun], dict[str, Any]]
) -> None:
    """A job that Prefect itself ends before it runs is Failed, publishes that like any other, and can be retried."""
    with prefect_server.used(), get_client(sync_client=True) as client:
        draft = jobs.draft_collection(source, store=tmp_path / "staging")
        run = client.read_flow_run(UUID(draft.id))
        client.update_flow_run(run.id, parameters=spoiled(run))
        job = jobs.start(draft.id)
        assert job.status is JobStatus.FAILED
        assert "parameters" in job.message
        [failed] = [event for event in events_of(prefect_server, job.id, 3) if event["event"].endswith("failed")]
        assert failed["event"] == "prefect-collect.collection.failed"
        assert failed["payload"]["message"] == one_line(job.message)
        [page] = versions(f"job-{job.id}")
        assert page.description.endswith(": Failed")
        assert page.data.startswith(f"# {job.name}: Failed\n")
        assert job.message.split("\n")[0] in page.data
        assert f"`prefect-collect retry {job.id}`" in page.data

        again = {**run.parameters, "source": collect.serialize_parameters({"source": source})["source"]}
        client.update_flow_run(run.id, parameters=again)
        assert jobs.retry(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED
        ran = ["queued", "in-progress", "successfully-completed"]
        assert told(prefect_server, job, 6) == ["drafted", "queued", "failed", *ran]


def test_a_job_that_holds_something_and_that_prefect_cannot_call(
    prefect_server: PrefectServer, source: FileSource, tmp_path: Path
) -> None:
    """A retry that cannot start, as the block of the source was deleted, leaves the job's status and result."""
    broken(source)
    with prefect_server.used(), get_client(sync_client=True) as client:
        job = jobs.start(jobs.draft_collection(source, store=tmp_path / "staging").id)
        assert job.status is JobStatus.PARTIALLY_COMPLETED
        without_source(client.read_flow_run(UUID(job.id)))
        after = jobs.retry(job.id)
        assert "parameters" in after.message
        assert after.status is JobStatus.PARTIALLY_COMPLETED
