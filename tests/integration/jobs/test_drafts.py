"""Drafts that are edited before they start: name, page and export follow, and the job collects as edited."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_collect import FileSource, jobs
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.jobs import _drafting
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import Desk
from tests.integration.jobs.test_jobs import artifacts

pytestmark = pytest.mark.integration


def tree(desk: Desk, name: str, *files: str) -> FileSource:
    """Another source."""
    root = desk.folder / name
    root.mkdir()
    for file in files:
        (root / file).write_text(file)
    return FileSource(name=f"{desk.name}-{name}", root=root)


def export_of(draft: jobs.Job) -> jobs.Job:
    """Return the only export that awaits the draft."""
    with get_client(sync_client=True) as client:
        (run,) = exports_of(client, UUID(draft.id))
    return jobs.get(run.id)


def says(job: jobs.Job, name: str, source: str) -> bool:
    """Check that the job and its page have that name and that source."""
    page = artifacts(job.id)["job"]
    return (job.name, job.source) == (name, source) and f"# {name}: {job.status}" in page and f"`{source}`" in page


def test_what_is_edited_is_what_is_collected(desk: Desk) -> None:
    """Name, page and waiting export follow each change, and the started job has the last ones."""
    second, third = tree(desk, "second", "a"), tree(desk, "third", "a.txt", "b.txt", "c")
    draft = jobs.draft_collection(
        desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.folder / "first"))
    )
    first = export_of(draft)
    assert says(draft, desk.name, desk.name)
    assert says(first, f"export of {desk.name}", desk.name)
    assert says(jobs.edit_draft(draft.id, source=second), second.name, second.name)
    assert says(export_of(draft), f"export of {second.name}", second.name)
    assert says(jobs.edit_draft(draft.id, name="renamed"), "renamed", second.name)
    assert says(export_of(draft), "export of renamed", second.name)
    assert export_of(draft).id == first.id
    wanted = AutoExport(destination=str(desk.out), name="its own")
    assert says(jobs.edit_draft(draft.id, source=third, auto_export=wanted), "renamed", third.name)
    assert says(export_of(draft), "its own", third.name)
    assert ": 3 items, 11 bytes; no time, without an earlier job." in artifacts(draft.id)["job"]
    assert export_of(draft).id != first.id
    assert jobs.edit_draft(draft.id, custodian="no one").custodian == export_of(draft).custodian == "no one"
    assert jobs.edit_draft(draft.id, custodian=None).custodian == export_of(draft).custodian == ""
    of_the_source = third.model_copy(update={"custodian": "Its owner"})
    assert jobs.edit_draft(draft.id, source=of_the_source).custodian == export_of(draft).custodian == "Its owner"
    assert jobs.edit_draft(draft.id, custodian="Zoë").custodian == "Zoë"
    edited = jobs.edit_draft(draft.id, name=None, query={"include": ["*.txt"]})
    assert says(edited, third.name, third.name)
    assert says(export_of(draft), "its own", third.name)
    assert ": 2 items, 10 bytes; no time, without an earlier job." in artifacts(draft.id)["job"]
    job = jobs.start(draft.id)
    assert (job.status, job.name, job.source) == (JobStatus.SUCCESSFULLY_COMPLETED, third.name, third.name)
    assert [row["path"] for row in jobs.preview(job.id, store=desk.store)] == ["a.txt", "b.txt"]
    export = export_of(job)
    assert (export.status, export.name, export.source) == (JobStatus.SUCCESSFULLY_COMPLETED, "its own", third.name)
    assert export.result is not None
    assert export.result.counts.succeeded == 2
    assert "| items | 2 | 2 succeeded of 2 found |" in artifacts(job.id)["job"]
    for one in (job, export):
        assert (one.custodian, one.record and one.record.custodian) == ("Zoë", "Zoë")
        assert "Custodian: `Zoë`" in artifacts(one.id)["job"]
    assert verify(next(desk.out.iterdir())).valid
    assert not (desk.folder / "first").exists()
    log = [(entry.action, entry.details.get("parameters"), entry.who) for entry in custody_log.entries(job.folder)]
    changed = [
        ["source"],
        ["name"],
        ["auto_export", "source"],
        ["custodian"],
        ["custodian"],
        ["source"],
        ["custodian"],
        ["name", "query"],
    ]
    assert log[1:9] == [("edited", names, operator()) for names in changed]
    assert (log[0][0], log[9][0]) == ("drafted", "start-requested")


def test_a_source_that_cannot_be_listed_is_drafted(desk: Desk) -> None:
    """Its page says why nothing is expected of it; once the source is there, an edit estimates it."""
    gone = FileSource(name=f"{desk.name}-gone", root=desk.folder / "gone")
    draft = jobs.draft_collection(gone, store=desk.store)
    assert draft.status is JobStatus.DRAFTED
    assert "Not estimated: " in artifacts(draft.id)["job"]
    (desk.folder / "gone").mkdir()
    jobs.edit_draft(draft.id, name="found")
    assert "Expected, by a listing of " in artifacts(draft.id)["job"]


def test_a_draft_that_is_started_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a started draft is refused; one at the moment of the start says that it may be too late."""
    other = tree(desk, "other", "a")
    wanted = AutoExport(destination=str(desk.out))
    begun: set[str] = set()

    def starting(call: Any) -> Any:
        def started(*args: Any, **kwargs: Any) -> Any:
            if draft.id not in begun:  # starting it calls this again
                begun.add(draft.id)
                jobs.start(draft.id, here=False)
            return call(*args, **kwargs)

        return started

    place: Any
    for place, name, said, actions in (
        (_drafting, "_checked", "Only a draft", ["drafted", "start-requested"]),
        (SyncPrefectClient, "update_flow_run", "too late", ["drafted", "start-requested", "edited"]),
    ):
        draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=wanted)
        before = export_of(draft)
        with monkeypatch.context() as patch:
            patch.setattr(place, name, starting(getattr(place, name)))
            with pytest.raises(ActionNotAllowed, match=said):
                jobs.edit_draft(draft.id, source=other, auto_export=None)
        left = jobs.get(draft.id)
        assert (left.status, left.source) == (JobStatus.QUEUED, desk.name)
        assert export_of(draft) == before
        assert ("auto_export" in left.parameters) is (said == "Only a draft")
        assert [entry.action for entry in custody_log.entries(left.folder)] == actions
        jobs.cancel(draft.id)
    assert not Path(desk.out).exists()
