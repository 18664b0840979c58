"""The job's page on a real Prefect server while the job is queued, runs, and has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import ArtifactSort

from prefect_collect.artifacts.job_page import (
    heading,
    show_queue,
    show_queued,
    show_result,
    show_status,
    shown_progress,
)
from prefect_collect.artifacts.snapshot import SNAPSHOT_KEY, refresh_snapshot
from prefect_collect.console.job_index import with_progress
from prefect_collect.console.job_row import JobRow
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.pages.running_job import QueuePlace
from prefect_collect.runs.labels import BEAT, LEASE, QUEUED, SOURCE, set_labels
from prefect_collect.runs.names import COLLECTION_FLOW, EXPORT_FLOW
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.progress import Progress
from tests.integration.jobs.every_status import until
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import deleted_afterwards

pytestmark = pytest.mark.integration


def versions(key: str) -> list[Any]:
    """Return all versions of an artifact, the newest first."""
    with get_client(sync_client=True) as client:
        only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC)


def ended(job_id: str, place: Path) -> TaskResult:
    """Return the result of an attempt."""
    counts, now = Counts(found=1, succeeded=1, bytes=1), datetime.now(UTC)
    return TaskResult(
        job_id, JobKind.COLLECTION, 1, TaskStatus.COMPLETED, JobStatus.SUCCESSFULLY_COMPLETED, counts, counts, now, now,
        message="1 of 1 item was collected.", store=DirectoryStore(place),
    )  # fmt: skip


@flow
def running(job_id: str, progress: Progress, previous: Any = None) -> None:
    """Run a job in progress until both of its artifacts show the progress."""
    shown = heading(job_id, JobKind.COLLECTION, "docs", "/docs")
    with shown_progress(job_id, progress, shown, previous=previous):
        until(lambda: any("| items | 1 of 2 " in page.data for page in versions(f"job-{job_id}")), "its page", 0.1)
        progress.add(succeeded=1, bytes=1)
        until(lambda: any(one.data == 100 for one in versions(f"progress-{job_id}")), "its progress", 0.1)


def test_one_version_for_each_attempt(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """Each attempt has one version of the page, which is updated in place while it is queued, in progress and ended."""
    job_id = str(uuid4())
    with prefect_server.used():
        shown = heading(job_id, JobKind.COLLECTION, "docs", "/docs", has_deployment=True)
        show_queued(shown, QueuePlace(str(uuid4()), before=1))
        [queued] = versions(f"job-{job_id}")
        assert queued.description == "docs: Queued"
        assert str(queued.flow_run_id) == job_id
        running(job_id, Progress("Collecting", found=2, found_bytes=2, succeeded=1, bytes=1, listing=False))
        [ran] = versions(f"job-{job_id}")
        assert ran.id == queued.id
        assert ran.description == "docs: In progress"
        show_result(ended(job_id, tmp_path), "docs", "/docs")
        [done] = versions(f"job-{job_id}")
        assert done.id == queued.id
        assert done.data.startswith("# docs: Successfully completed\n")
        show_status(shown, JobStatus.QUEUED)
        new, old = versions(f"job-{job_id}")
        assert new.description == "docs: Queued"
        assert (old.id, old.data) == (done.id, done.data)


def test_the_table_of_the_console_counts_a_job_in_progress(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """The row of a collection in progress has what earlier attempts collected and what this one has so far; before it
    has shown any progress, and of an artifact without counts, what the run's labels say.
    """
    job_id = str(uuid4())
    row = JobRow(
        job_id, JobKind.COLLECTION, "docs", "docs", JobStatus.IN_PROGRESS, "", None, None, None, 1, 1, "", queue=""
    )
    with prefect_server.used(), get_client(sync_client=True) as client:
        assert with_progress(client, {job_id: row}) == {job_id: row}
        assert not row.is_counted
        progress = Progress("Collecting", found=2, found_bytes=20, succeeded=1, bytes=10, listing=False)
        running(job_id, progress, ended(job_id, tmp_path))
        shown = with_progress(client, {job_id: row})[job_id]
        assert (shown.progress, shown.items, shown.bytes, shown.is_counted) == (100.0, 3, 12, True)
        artifact = versions(f"progress-{job_id}")[0].id
        client.update_artifact(artifact, ArtifactUpdate(data=50.0, description="half", metadata_={}))
        shown = with_progress(client, {job_id: row})[job_id]
        assert (shown.progress, shown.items, shown.bytes) == (50.0, 1, 1)


def test_a_page_that_a_user_deleted_is_made_again(prefect_server: PrefectServer) -> None:
    """A page that a user deletes while the job runs is created again, and the job continues."""
    job_id = str(uuid4())
    with prefect_server.used(), get_client(sync_client=True) as client:
        shown = heading(job_id, JobKind.EXPORT, "docs", "/docs")
        show_status(shown, JobStatus.AWAITING_COLLECTION)
        client.delete_artifact(versions(f"job-{job_id}")[0].id)
        show_status(shown, JobStatus.AWAITING_COLLECTION)
        assert len(versions(f"job-{job_id}")) == 1


def test_the_links_lead_to_the_run(prefect_server: PrefectServer) -> None:
    """The page's address is in the server's UI; whether the run has a deployment is given, or read in the run."""
    with prefect_server.used():
        shown = heading("j", JobKind.EXPORT, "docs", "/docs", has_deployment=True)
    assert shown.run_page is not None
    assert shown.run_page.url == f"{prefect_server.url.removesuffix('/api')}/runs/flow-run/j"
    assert shown.run_page.has_deployment


def test_nothing_is_raised_when_the_server_is_down(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A job continues if its page cannot be shown."""
    job_id = str(uuid4())
    with replace(prefect_server, url="http://127.0.0.1:9/api").used():
        shown = heading(job_id, JobKind.COLLECTION, "docs", "/docs")
        show_queued(shown, QueuePlace())
        with shown_progress(job_id, Progress(), shown):
            pass
        show_result(ended(job_id, tmp_path), "docs", "/docs")
        refresh_snapshot()


def test_all_jobs_are_counted_from_their_runs(prefect_server: PrefectServer, every_source: None) -> None:
    """The snapshot counts only runs of our flows, and is not published too soon, if it takes too long, or unchanged."""

    @flow(name=EXPORT_FLOW)
    def job() -> None:
        """Never run."""

    @flow
    def others() -> None:
        """Not counted."""

    state: State[Any] = State(type=StateType.COMPLETED, name="Partially completed")
    source = f"source {uuid4()}"
    with prefect_server.used(), get_client(sync_client=True) as client:
        run = client.create_flow_run(job, state=state)
        labels: dict[str, Any] = {
            "prefect-collect.source": source,
            "prefect-collect.items": 3,
            "prefect-collect.bytes": 2048,
        }
        client.update_flow_run_labels(run.id, labels)
        client.update_flow_run_labels(client.create_flow_run(others, state=state).id, labels)
        refresh_snapshot()
        published = versions(SNAPSHOT_KEY)[0]
        assert f"| {source} | 0 | 0 | 0 bytes | 1 | 3 | 2.0 KiB |" in published.data
        refresh_snapshot()
        assert versions(SNAPSHOT_KEY)[0].id == published.id
        client.delete_flow_run(run.id)
        refresh_snapshot(at_most_every=3600)
        assert versions(SNAPSHOT_KEY)[0].id == published.id
        slow = ArtifactUpdate(metadata_={"prefect-collect.seconds": "60"})
        client.update_artifact(published.id, slow)
        refresh_snapshot(at_most_every=1e-9)
        assert versions(SNAPSHOT_KEY)[0].id == published.id
        refresh_snapshot()
        new, old, *_ = versions(SNAPSHOT_KEY)
        assert old.id == published.id
        assert source in old.data
        assert source not in new.data


def test_the_place_in_the_queue_is_read_from_prefect(prefect_server: PrefectServer) -> None:
    """The page shows the job with the slot and the number of jobs before, as the queue is now."""

    @flow(name=COLLECTION_FLOW)
    def job() -> None:
        """Never run."""

    queue = SourceQueue(JobKind.COLLECTION, f"source {uuid4()}")
    with prefect_server.used(), deleted_afterwards(queue.name) as client:
        runs, alive = [], {BEAT: datetime.now(UTC).isoformat()}
        for number in range(3):
            run = client.create_flow_run(job, state=State(type=StateType.SCHEDULED, name="Queued"), tags=[queue.name])
            set_labels(client, run.id, {SOURCE: queue.source, QUEUED: f"2026-01-31T12:00:0{number}+00:00", **alive})
            runs.append(run)
        queue.read(client)
        lease = queue.take(client, runs[0].id)
        assert lease is not None
        set_labels(client, runs[0].id, {LEASE: lease, QUEUED: ""})
        client.set_flow_run_state(runs[0].id, State(type=StateType.RUNNING, name="In progress"), force=True)
        show_queue(JobKind.COLLECTION, queue.source, runs[2])
        [page] = versions(f"job-{runs[2].id}")
    assert "**Place in the queue: 2**" in page.data
    assert f"job `{runs[0].id}`" in page.data
    assert "Queued since 2026-01-31 12:00:02 UTC" in page.data
