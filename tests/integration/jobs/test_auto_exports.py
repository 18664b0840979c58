"""Exports that follow a collection in the user's process, and the reasons for which they wait."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import collect, export, jobs
from prefect_collect.errors import ActionNotAllowed, JobNotFound, UsageError
from prefect_collect.flows.auto_exports import AutoExport, awaiting_state, exports_of, settle_export
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.flows.recovery import recover as recovery
from prefect_collect.packages import verify
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from tests import forked
from tests.integration.jobs.every_status import FILES, Desk, named, until
from tests.integration.jobs.gated_source import GatedFiles
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]


def collected(desk: Desk, source: Any = None, **auto: Any) -> jobs.Job:
    """Run a collection with an export to its end, and return it."""
    state = collect(
        source=source or desk.source(), store=desk.store, auto_export={"destination": str(desk.out), **auto},
        return_state=True,
    )  # fmt: skip
    return jobs.get(str(state.state_details.flow_run_id))


def export_of(collection: jobs.Job) -> jobs.Job:
    """Return the collection's only export."""
    with get_client(sync_client=True) as client:
        (run,) = exports_of(client, UUID(collection.id))
    return jobs.get(run.id)


def exported(collection: jobs.Job, files: int = FILES) -> jobs.Job:
    """Check that the collection's export has delivered what it holds, and return it."""
    job = export_of(collection)
    assert (job.status, job.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED), job.message
    assert job.result is not None
    assert job.result.counts.succeeded == files
    assert verify(str(job.result.package)).valid
    return job


def test_a_draft(desk: Desk) -> None:
    """The export of a draft awaits it; an edited draft has the export that was set last.

    A recovery that has read the export while it awaited the collection leaves it alone, now that it has ended.
    """
    auto = AutoExport(destination=str(desk.folder / "first"))
    draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=auto)
    first = export_of(draft)
    assert (first.status, first.task_status) == (JobStatus.AWAITING_COLLECTION, TaskStatus.PENDING)
    jobs.edit_draft(draft.id, auto_export=AutoExport(destination=str(desk.out), format="directory"), name="edited")
    second = export_of(draft)
    assert second.id != first.id
    with get_client(sync_client=True) as client:
        (awaiting,) = exports_of(client, UUID(draft.id))
        assert jobs.start(draft.id).name == "edited"
        exported(draft)
        settle_export(client, awaiting)
    assert jobs.get(second.id).status is JobStatus.SUCCESSFULLY_COMPLETED
    assert not (desk.folder / "first").exists()
    with pytest.raises(ActionNotAllowed, match="Only a draft"):
        jobs.edit_draft(draft.id, name="late")


def test_an_earlier_job_that_is_not_there(desk: Desk) -> None:
    """A draft, its change and a collection whose export is to be compared with it are refused before anything is read.

    The job of the collection has no folder then, and made no export.
    """
    wanted = AutoExport(destination=str(desk.out), duplicates_of=["no-such-job"])
    draft = jobs.draft_collection(desk.source(), store=desk.store)
    for refused in (
        lambda: jobs.draft_collection(desk.source(), store=desk.store, auto_export=wanted),
        lambda: jobs.edit_draft(draft.id, auto_export=wanted),
        lambda: jobs.edit_draft(draft.id, auto_export=wanted.model_copy(update={"duplicates_of": [draft.id]})),
    ):
        with pytest.raises(UsageError, match=r"\[duplicates_of="):
            refused()
    job = collected(desk, duplicates_of=["no-such-job"])
    assert (job.status, job.record) == (JobStatus.FAILED, None)
    assert "[duplicates_of=no-such-job]" in (job.message or "")
    with get_client(sync_client=True) as client:
        assert exports_of(client, UUID(job.id)) == []


def test_an_export_that_was_deleted(desk: Desk) -> None:
    """A deleted export is not created again when its collection is started."""
    draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    jobs.delete(export_of(draft).id)
    assert jobs.start(draft.id).status is JobStatus.SUCCESSFULLY_COMPLETED
    with get_client(sync_client=True) as client:
        assert exports_of(client, UUID(draft.id)) == []
    assert not desk.out.exists()


def test_a_partial_collection_is_enough(desk: Desk) -> None:
    """With when="completed", the default, the export waits while the collection is Failed, not if it is partial.

    Without a worker, the export runs after the collection in the same process.
    """
    source = desk.source()
    desk.lose_root()
    collection = collected(desk, source, name="its export", sha512=True)
    assert collection.status is JobStatus.FAILED
    assert export_of(collection).status is JobStatus.AWAITING_COLLECTION
    assert jobs.retry(collection.id).status is JobStatus.FAILED
    assert export_of(collection).status is JobStatus.AWAITING_COLLECTION
    desk.mend()
    desk.break_one()
    assert jobs.retry(collection.id).status is JobStatus.PARTIALLY_COMPLETED
    assert exported(collection).name == "its export"


def test_a_partial_collection_is_not_enough(desk: Desk) -> None:
    """With when="successful", the export waits until a retry has completed the collection."""
    desk.break_one()
    collection = collected(desk, when="successful")
    assert collection.status is JobStatus.PARTIALLY_COMPLETED
    assert export_of(collection).status is JobStatus.AWAITING_COLLECTION
    desk.mend()
    assert jobs.retry(collection.id).status is JobStatus.SUCCESSFULLY_COMPLETED
    exported(collection, FILES + 1)


def test_a_deleted_collection(desk: Desk) -> None:
    """The export that awaits a collection is deleted with it."""
    draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    waiting = export_of(draft)
    assert jobs.delete(draft.id) == (waiting.id,)
    with pytest.raises(JobNotFound):
        jobs.get(waiting.id)


def test_exports_whose_collection_is_not_there(desk: Desk) -> None:
    """The recovery flow ends the export of a collection whose run was deleted in Prefect.

    A retry ends so, too, and the export can be deleted. The flow also ends one that names no collection, which can only
    be made by Prefect's API, and complains no further.
    """
    draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    waiting = export_of(draft)
    nameless: list[dict[str, Any]] = [{}, {"collection_job": "none"}, {"collection_job": None}]
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(draft.id))
        runs = [client.create_flow_run(export, parameters=each, state=awaiting_state()) for each in nameless]
        recovery()
        states = [client.read_flow_run(run.id).state for run in runs]
    failed = jobs.get(waiting.id)
    assert failed.status is JobStatus.FAILED
    assert "collection_deleted" in failed.message
    again = jobs.retry(failed.id)
    assert again.status is JobStatus.FAILED
    assert "collection_deleted" in again.message
    jobs.delete(failed.id)
    for state in states:
        assert state is not None
        assert (state.name, "is not named in its parameters" in (state.message or "")) == ("Failed", True)


@pytest.mark.parametrize("moment", ["last shard", "state"])
def test_its_process_dies(desk: Desk, prefect: PrefectServer, moment: str) -> None:
    """The recovery flow ends the job with the status of its result; then its export is queued for a worker."""
    dies = desk.folder / "dies"
    dies.write_text(moment)
    desk.gate.touch()
    source = GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, dies=dies)
    source.save(desk.name)
    code = (
        "import sys; from tests.integration.jobs.gated_source import GatedFiles; from prefect_collect import collect\n"
        "collect(source=GatedFiles.load(sys.argv[1]), store=sys.argv[2], name=sys.argv[1], "
        "auto_export={'destination': sys.argv[3]})\n"
    )
    words = [sys.executable, "-c", code, desk.name, desk.store, str(desk.out)]
    done = forked.run(words, env={**prefect.environment(), "PYTHONPATH": str(_ROOT)}, capture_output=True, text=True)
    assert not dies.exists(), done.stderr
    assert done.returncode == -9
    lost = named(desk.name, JobKind.COLLECTION)
    assert lost is not None

    def is_recovered() -> bool:
        recover(client)
        return export_of(lost).status is JobStatus.QUEUED

    with get_client(sync_client=True) as client:
        until(is_recovered, "its recovery")
    collection = jobs.get(lost.id)
    assert collection.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert collection.result is not None
    assert collection.result.counts.succeeded == FILES
