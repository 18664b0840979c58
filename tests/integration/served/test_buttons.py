"""What Prefect's UI does to jobs that `serve` runs: documented steps work, others are undone with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType

from prefect_collect import jobs
from prefect_collect.flows import collect
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.flows.deploying import ensure_deployment
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.runs.labels import CANCELED_BY, labels_of, process_of
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus, NextStep, TaskStatus
from tests.integration.artifacts.test_live_page import versions
from tests.integration.jobs.every_status import FILES, Desk, status_of, until, when
from tests.integration.served import buttons
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration


def run_of(job: jobs.Job) -> FlowRun:
    """Return the job's run."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(job.id))


def settled(job: jobs.Job, name: str) -> jobs.Job:
    """Return the job as soon as its state has that name, which no state of Prefect's own has."""
    until(lambda: run_of(job).state_name == name, lambda: f"the state {name}; it is {run_of(job).state}")
    return jobs.get(job.id)


def started(desk: Desk, **options: Any) -> jobs.Job:
    """Return a collection that a process of `serve` works on."""
    job = jobs.start(jobs.draft_collection(desk.slow(), store=desk.store, **options).id)
    job = when(job, JobStatus.IN_PROGRESS)
    until(job.folder.moves_data, "its first items")
    return job


def ended(desk: Desk, *, gone: bool = False, **options: Any) -> jobs.Job:
    """Return a collection that a process of `serve` has run to its end."""
    source = desk.source()
    if gone:
        desk.lose_root()
    job = jobs.start(jobs.draft_collection(source, store=desk.store, **options).id)
    until(lambda: run_of(job).state_type in (StateType.COMPLETED, StateType.FAILED), "its end")
    return jobs.get(job.id)


def _crashed(job: jobs.Job) -> None:
    buttons.change_state(job, "CRASHED")


def _scheduled(job: jobs.Job) -> None:
    buttons.change_state(job, "SCHEDULED")


def _completed(job: jobs.Job) -> None:
    buttons.change_state(job, "COMPLETED")


def _formed(desk: Desk, labels: dict[str, str] | None = None, **options: Any) -> jobs.Job:
    """Start a collection as the form does that is to be a draft, with labels of its run, and return it."""
    given = {"source": desk.source(), "store": str(desk.store), "as_draft": True, **options}
    with get_client(sync_client=True) as client:
        deployment = ensure_deployment(client, JobKind.COLLECTION)
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters=collect.serialize_parameters(given), labels=labels_of(labels or {})
        )
    return jobs.get(run.id)


def _page(job: jobs.Job) -> str:
    """Return the job's page as it is now; "" if it has none."""
    return "".join(str(page.data) for page in versions(f"job-{job.id}"))


def test_a_draft_of_the_form(desk: Desk) -> None:
    """A run that the form asks to be saved as a draft is one: with an estimate on its page, its custody log, the export
    that awaits it, and the steps of a draft. Edited and resumed, it collects, once.
    """
    formed = _formed(desk, custodian="Ann", auto_export=AutoExport(destination=str(desk.out)))
    draft = settled(formed, "Drafted")
    until(lambda: f"{FILES} items" in _page(draft), "its page, which comes last")
    assert "as_draft" not in run_of(draft).parameters
    assert (draft.task_status, draft.custodian, draft.next_steps) == (
        TaskStatus.DRAFT, "Ann", (NextStep.START, NextStep.DELETE),
    )  # fmt: skip
    with get_client(sync_client=True) as client:
        (export,) = exports_of(client, UUID(draft.id))
    assert jobs.get(export.id).status is JobStatus.AWAITING_COLLECTION
    assert [entry.action for entry in custody_log.entries(draft.folder)] == ["drafted"]
    jobs.edit_draft(draft.id, name="edited")
    assert buttons.resume(draft) == "ACCEPT"
    job = settled(draft, "Successfully completed")
    assert (job.name, job.result is not None and job.result.counts.succeeded) == ("edited", FILES)
    check_account(job.folder)


def test_a_cancel_while_a_draft_of_the_form_is_estimated(desk: Desk) -> None:
    """It ends as Canceled and does not become a draft, which would be canceled as soon as it is started.

    Cancel sets a label on a run that is in progress, which is there from the start here.
    """
    job = settled(_formed(desk, {CANCELED_BY: "Ann"}), "Canceled")
    assert "before it was saved as a draft" in job.message
    assert not job.attempts


def test_a_draft_stays_one_until_it_is_started(desk: Desk) -> None:
    """It offers neither Cancel nor Completed: it is a draft again, with the reason, and so it is if its worker reports
    that the process crashed which saved it. Resume has the worker run it.

    The successful job offers no Resume and no Retry: nothing is run, and the state is the former one, with the reason.
    """
    draft = jobs.draft_collection(desk.source(), store=desk.store, name="a draft")
    assert (draft.status, draft.task_status, draft.name) == (JobStatus.DRAFTED, TaskStatus.DRAFT, "a draft")
    for press in (buttons.cancel, _completed, _crashed):
        put_back(draft, press, "Drafted")
        assert "Put back" in jobs.get(draft.id).message
        assert jobs.get(draft.id).task_status is TaskStatus.DRAFT
    assert buttons.resume(draft) == "ACCEPT"
    job = settled(draft, "Successfully completed")
    assert job.result is not None
    assert job.result.counts.succeeded == FILES
    assert buttons.resume(job) != "ACCEPT"
    assert status_of(job) is JobStatus.SUCCESSFULLY_COMPLETED
    before = _kept(job)
    buttons.retry(job)
    until(lambda: "Nothing was run" in jobs.get(job.id).message, "the reason")
    after = jobs.get(job.id)
    assert "'Successfully completed' does not offer 'Retry'" in after.message
    assert (after.status, len(after.attempts)) == (JobStatus.SUCCESSFULLY_COMPLETED, 1)
    assert _kept(job) == before
    asked = custody_log.check_chain(job.folder).entries[-1]
    assert (asked.action, asked.details["by"]) == ("retry-requested", "Prefect's UI or API")


def put_back(job: jobs.Job, press: Callable[[jobs.Job], object], name: str) -> None:
    """Press a button that the job does not offer, and wait until its state has its former name again."""
    before = run_of(job).state_id
    press(job)
    until(lambda: (run := run_of(job)).state_name == name and run.state_id != before, f"{name} again")


def _kept(job: jobs.Job) -> list[str]:
    """Return all that the job has in the staging store, except its custody log."""
    keys = (blob.key for blob in job.folder.store.list(f"{job.id}/"))
    return sorted(key for key in keys if "/custody/" not in key)


def test_cancel_while_in_progress(desk: Desk) -> None:
    """It ends as Canceled, with a receipt, when its process has stopped; Retry, the UI's Start, completes it."""
    job = started(desk)
    process = process_of(run_of(job).labels)
    assert is_alive(process)
    buttons.cancel(job)
    job = settled(job, "Canceled")
    until(lambda: not is_alive(process), "the end of its process")
    assert job.result is not None
    assert job.result.receipt is not None
    assert job.message == job.result.message
    asked = [entry for entry in custody_log.check_chain(job.folder).entries if entry.action == "cancel-requested"]
    assert [entry.details["by"] for entry in asked] == ["Prefect's UI or API"]
    assert job.result.counts.not_attempted > 0
    check_account(job.folder)
    desk.gate.touch()
    buttons.retry(job)
    job = settled(job, "Successfully completed")
    assert [result.status for result in job.attempts] == [JobStatus.CANCELED, JobStatus.SUCCESSFULLY_COMPLETED]
    check_account(job.folder)


def awaiting(desk: Desk) -> tuple[jobs.Job, jobs.Job]:
    """Return a draft and its export."""
    draft = jobs.draft_collection(desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    with get_client(sync_client=True) as client:
        (run,) = exports_of(client, UUID(draft.id))
    return draft, jobs.get(run.id)


def test_an_export_that_awaits_goes_on_awaiting(desk: Desk) -> None:
    """It can be neither started nor canceled before its collection is completed; then it starts all the same."""
    draft, job = awaiting(desk)
    assert job.status is JobStatus.AWAITING_COLLECTION
    assert buttons.resume(job) != "ACCEPT"
    for press in (_scheduled, buttons.retry, buttons.cancel):
        put_back(job, press, "Awaiting collection")
        after = jobs.get(job.id)
        assert after.task_status is TaskStatus.PENDING
        assert after.message != job.message
        assert "collection" in after.message
        assert not after.folder.exists()
    buttons.resume(draft)
    assert settled(job, "Successfully completed").status is JobStatus.SUCCESSFULLY_COMPLETED


def test_cancel_while_its_process_starts(desk: Desk) -> None:
    """Nothing of the job runs."""
    job = jobs.start(jobs.draft_collection(desk.slow(), store=desk.store).id)
    until(lambda: run_of(job).state_type is StateType.PENDING, "the start of its process", every=0.02)
    buttons.cancel(job)
    job = settled(job, "Canceled")
    assert job.folder.attempts() == []
    assert "before anything was started" in job.message


def test_pause_while_in_progress(desk: Desk) -> None:
    """The specification knows no pause: the job is In progress, and keeps its source's slot until it has ended."""
    first = started(desk)
    buttons.pause(first)
    assert status_of(first) is JobStatus.IN_PROGRESS
    second = jobs.start(jobs.draft_collection(desk.slow(), store=desk.store).id)
    until(lambda: first.id[:8] in jobs.get(second.id).message, "its place in the queue")
    buttons.resume(first)
    desk.gate.touch()
    settled(second, "Successfully completed")
    until(lambda: run_of(first).state_type is StateType.COMPLETED, "the end of the first")
    results = [jobs.get(job.id).attempts for job in (first, second)]
    assert results[0][-1].counts.succeeded == FILES
    assert results[0][-1].ended <= results[1][0].started
    check_account(first.folder)


def test_a_job_that_is_set_to_completed(desk: Desk) -> None:
    """A state that a user sets in Prefect is not believed: the status is that of the evidence. Retry collects all."""
    job = ended(desk, gone=True)
    assert job.status is JobStatus.FAILED
    _completed(job)
    assert settled(job, "Failed").result is not None
    desk.mend()
    buttons.retry(job)
    job = settled(job, "Successfully completed")
    assert [result.attempt for result in job.attempts] == [1, 2]
    assert job.result is not None
    assert job.result.this_attempt.succeeded == FILES


def test_delete_while_in_progress(desk: Desk) -> None:
    """The work stops; the collected items are in the staging store, and the job can be read from there."""
    job = started(desk)
    process = process_of(run_of(job).labels)
    buttons.delete(job)
    until(lambda: not is_alive(process), "the end of its process")
    left = jobs.get(job.id, desk.store)
    assert left.task_status is TaskStatus.UNKNOWN
    assert left.status is JobStatus.CANCELED
    check_account(left.folder)
    again = ended(desk)  # the source is free for the next job
    assert again.status is JobStatus.SUCCESSFULLY_COMPLETED


def test_retry(desk: Desk) -> None:
    """Attempt 2 works on the items that have not succeeded. While the source is suspended nothing is run, and the job
    keeps its status, with the reason; a job without collected items is Skipped.
    """
    desk.break_one()
    source = desk.source()
    source.save(desk.name)
    job = jobs.start(jobs.draft_collection(source, store=desk.store).id)
    settled(job, "Partially completed")
    source.lifecycle = LifecycleStatus.SUSPENDED
    source.save(desk.name, overwrite=True)
    buttons.retry(job)
    until(lambda: "SUSPENDED" in jobs.get(job.id).message, "the reason")
    job = jobs.get(job.id)
    assert (job.status, len(job.attempts)) == (JobStatus.PARTIALLY_COMPLETED, 1)
    empty = settled(jobs.start(jobs.draft_collection(source, store=desk.store).id), "Skipped")
    assert (empty.status, empty.task_status) == (JobStatus.CANCELED, TaskStatus.SKIPPED)
    assert "SUSPENDED" in empty.message
    source.lifecycle = LifecycleStatus.ACTIVE
    source.save(desk.name, overwrite=True)
    desk.mend()
    buttons.retry(job)
    job = settled(job, "Successfully completed")
    assert [result.attempt for result in job.attempts] == [1, 2]
    assert job.result is not None
    assert job.result.this_attempt.succeeded == 1
