"""A collection that other jobs still need cannot be deleted; the custody log names who cancels and deletes."""

from __future__ import annotations

import pytest

from prefect_collect import collect, jobs
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import FILES, Desk, when

pytestmark = pytest.mark.integration


def files(job: jobs.Job) -> list[str]:
    """Return the keys of the job in the staging store, except its custody log."""
    return [blob.key for blob in job.folder.store.list(f"{job.id}/") if "/custody/" not in blob.key]


def refused(job: jobs.Job, *said: str) -> None:
    """Check that Delete is refused with these texts, and that nothing of the job is removed."""
    before = files(job)
    with pytest.raises(ActionNotAllowed) as error:
        jobs.delete(job.id)
    assert [text for text in said if text not in str(error.value)] == []
    assert (jobs.get(job.id).status, files(job)) == (job.status, before)
    assert not custody_log.check_chain(job.folder).problems
    assert len(jobs.preview(job.id, FILES)) == FILES


def test_a_collection_that_others_need(desk: Desk) -> None:
    """Delete is refused while an export is Queued or In progress, and while an incremental job refers to the items."""
    first = desk.collected()
    state = collect(source=desk.source(), since="last", store=desk.store, return_state=True)
    later = jobs.get(str(state.state_details.flow_run_id))
    assert later.result is not None
    assert later.result.relies_on == (first.id,)
    running = when(desk.exporting(first), JobStatus.IN_PROGRESS)
    queued = when(desk.exporting(first), JobStatus.QUEUED)
    needed = "The collection is still being exported"
    refused(first, needed, f"{queued.id} is Queued", f"{running.id} is In progress")
    for export in (queued, running):
        refused(first, needed, f"{export.id} is {export.status}")
        jobs.cancel(export.id)
        when(export, JobStatus.CANCELED)
        asked = [entry.who for entry in custody_log.entries(export.folder) if entry.action == "cancel-requested"]
        assert asked == [operator()]
    refused(first, f"Job {later.id} is incremental to this one", f"delete {later.id} first")
    for job in (later, first):
        jobs.delete(job.id)
        [entry] = custody_log.entries(job.folder)
        assert (entry.action, entry.who, files(job)) == (custody_log.DELETED, operator(), [])
    assert jobs.list_jobs(store=desk.store, kind=first.kind) == []
