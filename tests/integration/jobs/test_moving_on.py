"""Next steps at unusual moments: a lost process, a queue without workers, a cancel that comes too late."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_collect import FileSource, jobs
from prefect_collect.errors import ActionNotAllowed, JobNotFound, StoreUnavailable
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.jobs import _cancel
from prefect_collect.runs.labels import CANCELED_BY, SOURCE, label_of, set_labels
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import Desk, gone_process, named, reach, when
from tests.integration.jobs.test_killing_jobs import child, wait_for_shards
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration


def mark(job: jobs.Job) -> str:
    """Return the value of the job's label that says who canceled it."""
    with get_client(sync_client=True) as client:
        return label_of(client.read_flow_run(UUID(job.id)), CANCELED_BY)


def test_a_draft_whose_starter_was_killed(prefect: PrefectServer, root: Path, store: str) -> None:
    """A draft whose process was killed is resumed by Retry in this process, if it has no worker."""
    for n in range(300):
        (root / f"{n:03d}").write_text(f"content {n}")
    process, job_id = child(prefect, "start", store, root)
    wait_for_shards(job_id, 2)
    process.kill()
    process.wait()
    assert jobs.get(job_id).status is JobStatus.IN_PROGRESS
    job = jobs.retry(job_id)
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job.folder)
    assert job.result is not None
    assert job.result.counts.succeeded == 305
    steps = [(entry.action, entry.who) for entry in custody_log.entries(job.folder) if "requested" in entry.action]
    assert steps == [("start-requested", operator()), ("retry-requested", operator())]


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("step", [jobs.start, jobs.retry])
def test_a_queue_that_no_worker_looks_at(root: Path, store: str, step: Any) -> None:
    """A job that is queued for a missing worker runs in this process, unless `here=False` asks for a worker."""
    draft = jobs.draft_collection(FileSource(name="files", root=root), store=store)
    queued = jobs.start(draft.id, here=False)
    assert queued.status is JobStatus.QUEUED
    with get_client(sync_client=True) as client:  # it was in the queue of a `serve` that is gone
        set_labels(client, UUID(draft.id), gone_process())
    with pytest.raises(ActionNotAllowed, match="Queued"):
        step(draft.id, here=False)
    job = step(draft.id)
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED


def test_a_cancel_that_comes_as_the_job_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel of an ended job is refused, and leaves no label that would stop the next attempt."""
    job = desk.collecting()
    seen = when(job, JobStatus.IN_PROGRESS)
    desk.gate.touch()
    when(job, JobStatus.SUCCESSFULLY_COMPLETED)
    with monkeypatch.context() as patch:
        patch.setattr(_cancel, "get", lambda *_: seen)
        with pytest.raises(ActionNotAllowed, match="ended as Successfully completed"):
            jobs.cancel(job.id)
    assert mark(job) == ""


def test_a_mark_that_was_left_does_not_stop_a_retry(desk: Desk) -> None:
    """A retry clears the label of an earlier cancel."""
    desk.break_one()
    job = desk.collected()
    with get_client(sync_client=True) as client:
        set_labels(client, UUID(job.id), {CANCELED_BY: "ann"})
    desk.mend()
    assert jobs.retry(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED


def test_a_mark_that_another_writer_undid(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel whose label is lost in the server's merge, which has no lock, is set again."""
    job = reach(desk, JobKind.COLLECTION, JobStatus.IN_PROGRESS)
    undone: list[str] = []

    def undoing(client: SyncPrefectClient, run_id: UUID, values: dict[str, str]) -> None:
        # The other writer has read the labels before this one wrote, and writes after it.
        set_labels(client, run_id, values if undone else {SOURCE: job.source})
        undone.append("once")

    monkeypatch.setattr(_cancel, "set_labels", undoing)
    jobs.cancel(job.id)
    assert len(undone) > 1
    when(job, JobStatus.CANCELED)


@pytest.mark.usefixtures("prefect")
def test_a_deletion_that_the_store_refuses(root: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the collection is not deleted, an export that awaits it is left alone; then it is deleted with it."""
    name = f"awaits {root}"
    wanted = AutoExport(destination=str(root.parent / "out"), name=name)
    draft = jobs.draft_collection(FileSource(name="files", root=root), store=store, auto_export=wanted)
    export = named(name, JobKind.EXPORT)
    assert export is not None

    def refusing(*_: object) -> None:
        raise StoreUnavailable("The store is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(type(draft.folder.store), "remove", refusing)
        with pytest.raises(StoreUnavailable):
            jobs.delete(draft.id)
    assert jobs.get(export.id).status is JobStatus.AWAITING_COLLECTION
    jobs.delete(draft.id)
    with pytest.raises(JobNotFound):
        jobs.get(export.id)
