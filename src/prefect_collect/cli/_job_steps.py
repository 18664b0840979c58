"""The commands `start`, `retry`, `cancel` and `delete`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._deleted import recorded
from prefect_collect.cli._exits import CANCELED, OK, STOPPED_WAITING
from prefect_collect.cli._find_job import Found, find_job
from prefect_collect.cli._following import follow
from prefect_collect.cli._interrupts import ended_job, one_interrupt
from prefect_collect.cli._jobs import end, export_made_with
from prefect_collect.cli._output import Output
from prefect_collect.cli._places import absolute
from prefect_collect.cli._progress import shown_jobs
from prefect_collect.cli._server import configured_api, prefect_server
from prefect_collect.cli._summary import print_job_summary
from prefect_collect.cli._vouching import require_bucket, vouched_again
from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.pages.text import items, job_text
from prefect_collect.statuses import JobStatus, NextStep, require_step, should_poll
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from prefect_collect.jobs import DeletedJob, Job

    StoreNamed = Block | str | None


def run_again(
    text: str, step: str, store: str | None, settings: Mapping[str, Any] = MappingProxyType({}), *,
    report: str | None = None, detach: bool, single_writer: bool, json: bool,
) -> int:  # fmt: skip
    """Run ``retry`` or ``start``; `settings` are those that ``retry`` changes."""
    out = Output(as_json=json)
    rows = None if report is None else _report(report)
    found = find_job(text, store, served=True)
    if found.in_store and single_writer:
        require_bucket(found.location)
    with_others = configured_api() is not None
    with prefect_server(out.say):
        staging = vouched_again(found.id, found.store) if single_writer else found.store
        from prefect_collect import jobs

        job = jobs.get(found.id, found.store)
        if with_others and jobs.has_worker(job):
            job = again(found.id, NextStep(step), staging, settings, report=rows, here=False)
            if not should_poll(job.task_status):  # its process was gone, and the job has been settled
                return end(out, job, job.folder.store.url)
            if detach:
                return _begun(out, job)
            out.say("A worker runs the job; waiting for its end. Ctrl-C ends the wait, not the job.")
            job = follow(job.id, found.store, out.say)
            if should_poll(job.task_status):
                _begun(out, job)
                return STOPPED_WAITING
            return end(out, job, job.folder.store.url, export_made_with(job, out.say))
        if NextStep(step) in job.next_steps and job.has_deployment:  # one without always runs here
            out.say("No worker is running, so the job runs here.")
        with one_interrupt():
            with shown_jobs():
                job = ended_job(
                    lambda: again(found.id, NextStep(step), staging, settings, report=rows, here=True).id,
                    lambda _: jobs.get(found.id, found.store),
                )
            return end(out, job, job.folder.store.url, export_made_with(job, out.say))


def _begun(out: Output, job: Job) -> int:
    out.json(job.to_json())
    if not out.as_json:
        print_job_summary(out, job, "" if job.place is None else job.place.store.url)
    return OK


def again(
    job_id: str, step: NextStep, store: StoreNamed, settings: Mapping[str, Any] = MappingProxyType({}), *,
    report: str | None = None, here: bool | None = None,
) -> Job:  # fmt: skip
    """Start or retry a job, and return its new state."""
    from prefect_collect import jobs

    if step is NextStep.START:
        return jobs.start(job_id, store=store, here=here)
    return jobs.retry(job_id, only=report, store=store, here=here, **settings)


def again_here(job_id: str, step: NextStep, store: StoreNamed) -> Job:
    """Start or retry a job in this process, with a progress bar, and return its new state."""
    with shown_jobs():
        return again(job_id, step, store, here=True)


def _report(report: str) -> str:
    """Return the error report's location. Raise UsageError if it is not a report, or has no rows."""
    from prefect_collect.job_folder.error_report_reading import reported_items

    location = absolute(report)
    if not reported_items(location):
        raise UsageError(f"The error report has no rows to retry; leave --report out, or add rows. [{location}]")
    return location


def _refuse_early(found: Found, step: NextStep) -> None:
    """Raise ActionNotAllowed, if no server is configured, when the job's last result does not offer the step.

    A job that is queued again has a later status in Prefect than in its last result. Retry and Start are not refused
    this way: Prefect may not have learned how the attempt ended, and they settle that.
    """
    if configured_api() is not None:
        return
    from prefect_collect.job_folder.folder import JobFolder

    folder = JobFolder(open_store(found.location), found.id)
    record, attempts = folder.record(), folder.attempts()
    result = folder.result(attempts[-1]) if attempts else None
    if result is not None:
        require_step(record.kind, result.status, step)


def cancel_job(text: str, store: str | None, *, detach: bool, json: bool) -> int:
    """Run ``cancel``."""
    out = Output(as_json=json)
    found = find_job(text, store, served=True)
    with prefect_server(out.say):
        from prefect_collect import jobs

        job = jobs.cancel(found.id, store=found.store)
        if detach:
            return _begun(out, job)
        job = follow(job.id, found.store, out.say, ending=True)
        if should_poll(job.task_status):
            _begun(out, job)
            return STOPPED_WAITING
    code = end(out, job, "" if job.place is None else job.place.store.url)
    if job.status is not JobStatus.CANCELED:
        out.say("The job ended before it could be canceled.")
    return OK if code == CANCELED else code


def delete_job(text: str, store: str | None, *, yes: bool, json: bool) -> int:
    """Run ``delete``."""
    out = Output(as_json=json)
    if not yes and not sys.stdin.isatty():
        raise UsageError("Deleting cannot be undone; add --yes to delete without being asked.")
    known = recorded(text, store)
    found = find_job(text, store, served=True) if known is None else Found(known.job_id, known.store, in_store=True)
    if found.in_store:
        _refuse_early(found, NextStep.DELETE)
    with prefect_server(out.say):
        from prefect_collect import jobs

        if known is not None:
            return _delete_recorded(out, known, yes=yes)
        job = jobs.get(found.id, found.store)
        if job.status is not None and not job.is_deleted_in_prefect:
            require_step(job.kind, job.status, NextStep.DELETE)
        if not yes:
            _ask(job)
        delete = jobs.delete_evidence if job.is_deleted_in_prefect else jobs.delete
        exports = delete(found.id, store=found.store)
    _print_deleted(out, job_text(job.kind.value, job.name), found.id, exports)
    return OK


def _delete_recorded(out: Output, job: DeletedJob, *, yes: bool) -> int:
    """Delete the evidence of a job that was found deleted in Prefect, in whichever known store it is."""
    import typer

    from prefect_collect import jobs

    if not yes:
        what = f"{job_text(job.kind or 'job', job.name)} ({job.status or 'unknown'}, {items(job.items)}) in {job.store}"
        typer.confirm(one_line(f"Delete the evidence of {what} for good?"), abort=True, err=True)
    exports = jobs.delete_evidence(job.job_id)
    _print_deleted(out, job_text(job.kind or "job", job.name), job.job_id, exports)
    return OK


def _print_deleted(out: Output, what: str, job_id: str, exports: Sequence[str]) -> None:
    """Print what was deleted; `exports` are those that awaited the collection and were deleted with it."""
    out.json({"job_id": job_id, "deleted": True, "exports": [*exports]})
    awaited = "".join(f", and export {export}, which awaited it" for export in exports)
    out.line(f"Deleted {what} {job_id}{awaited}.")


def _ask(job: Job) -> None:
    import typer

    held = "" if job.result is None else f", {items(job.result.counts.succeeded)}"
    what = f"{job_text(job.kind.value, job.name)} ({job.status or 'unknown'}{held})"
    awaiting = " and any export that awaits it" if job.parameters.get("auto_export") else ""
    typer.confirm(one_line(f"Delete {what}{awaiting} for good?"), abort=True, err=True)
