"""Print a job as text for a terminal, and the JSON of `show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._output import Output
from prefect_collect.cli._places import store_location
from prefect_collect.cli._words import tidy
from prefect_collect.errors import CollectError
from prefect_collect.job_folder.estimates import estimate_of
from prefect_collect.pages.ended_job import step_command
from prefect_collect.pages.expected import expected_rows
from prefect_collect.pages.text import bytes_text, duration_text, found_word, items, items_text, job_title
from prefect_collect.statuses import JobKind, JobStatus, definition

_PATTERNS: Final = 10
"""The most patterns of a query that are printed."""

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prefect_collect.job_folder.folder import JobRecord
    from prefect_collect.job_folder.result import CodeCount, TaskResult
    from prefect_collect.jobs import Job


def print_job_summary(
    out: Output, job: Job, location: str, *, whole: bool = False, steps: bool = True, message: bool = True,
    queue: str = "", uncounted: str = "", export: str | None = None,
) -> None:  # fmt: skip
    """Print a job: its status, counts, error codes, report, and next steps.

    Args:
        out: The command's output.
        job: The job.
        location: The location of its staging store, for the commands of the next steps.
        whole: Print the status's definition, the job's record, and its attempts too.
        steps: Print the next steps.
        message: Print the message of the job's state; False if it was printed already.
        queue: The job's place in its queue, as a sentence.
        uncounted: Why the job has no counts.
        export: The id of the export that awaits the draft.
    """
    out.line(f"{job_title(job.kind.value, job.name)}  {job.id}", style="bold")
    out.status("  status   ", job.status.value if job.status else "unknown", f"  ({job.task_status.value})")
    if whole and job.status is not None:
        has_report = job.result is not None
        out.line(f"           {definition(job.kind, job.status, has_report=has_report)}")
    if job.message and message:
        out.line(f"           {tidy(job.message)}")
    if queue:
        out.line(f"  queue    {queue}")
    if whole and job.record is not None:
        where = str(job.record.source.get("location", ""))
        out.line(f"  source   {job.source}  {where}")
        for name, value in job.source_settings.items():
            out.line(f"           {tidy(name)} = {tidy(str(value))}")
        _print_custodian(out, job)
        _print_times(out, job.created, job.record)
        _print_query(out, job)
        if job.record.hashes:
            out.line(f"  hashes   {', '.join(job.record.hashes)}")
        _print_changed(out, job)
    if job.status is JobStatus.DRAFTED:
        _print_asked(out, job, export)
    if awaited := _awaited(job):
        out.line(f"  awaits   collection {awaited}")
    result = job.result
    if result is not None:
        _print_result(out, job, result)
    elif uncounted:
        out.line(f"  items    not known: {tidy(uncounted)}")
    if whole:
        _print_exports(out, job)
        _print_attempts(out, job.attempts)
    if steps:
        _print_steps(out, job, location)


def _awaited(job: Job) -> str | None:
    """Return the id of the collection that the export awaits; None if it awaits none."""
    return job.parameters.get("collection_job") if job.status is JobStatus.AWAITING_COLLECTION else None


def _print_asked(out: Output, job: Job, made: str | None) -> None:
    """Print what a draft is to collect, as far as it is not the default, and what that is expected to take."""
    out.line(f"  source   {job.source}{f'  {job.location}' if job.location else ''}")
    if job.expected:
        out.line(f"           {job.expected}")
    _print_custodian(out, job)
    _print_query(out, job)
    export = job.parameters.get("auto_export")
    if export:
        out.line(f"  export   {export['format']} to {export['destination']!s} when {export['when']}")
    if made is not None:
        out.line(f"           as job {made}")


def _print_changed(out: Output, job: Job) -> None:
    """Print the settings of the job that retries have changed; those of its source stand beside the source."""
    for name, value in job.retry_settings.items():
        if name not in job.source_settings:
            out.line(f"  retry    {tidy(name)} = {tidy(str(value))}")


def _print_times(out: Output, created: datetime | None, record: JobRecord) -> None:
    """Print when the job was created, as far as Prefect knows it, and when it was first started."""
    if created is not None and created.isoformat() != record.created_at:
        out.line(f"  created  {created.isoformat()}")
    out.line(f"  started  {record.created_at} by {record.created_by}")


def _print_custodian(out: Output, job: Job) -> None:
    """Print the custodians of a job's items, beneath its source."""
    if job.custodian:
        out.line(f"           custodian {job.custodian}")
    recorded = job.record.custodians if job.record is not None else job.parameters.get("custodians") or []
    for one in recorded[:_PATTERNS]:
        out.line(f"           custodian {one['custodian']} of {one['pattern']}")
    if len(recorded) > _PATTERNS:
        out.line(f"           custodian … and {len(recorded) - _PATTERNS:,} more patterns")


def _print_query(out: Output, job: Job) -> None:
    """Print the fields of a collection's query, and of many patterns the first ones."""
    from prefect_collect.jobs import query_of

    try:
        query = query_of(job).to_json()
    except CollectError as error:
        out.line(f"  query    {tidy(str(error))}", style="yellow")
        return
    for name, value in query.items():
        shown = str(value)
        if isinstance(value, list):
            more = len(value) - _PATTERNS
            shown = ", ".join(value[:_PATTERNS]) + (f", … and {more:,} more" if more > 0 else "")
        out.line(f"  {name:<9}{shown}")


def _print_result(out: Output, job: Job, result: TaskResult) -> None:
    counts = result.counts
    for note in result.notes:
        out.line(f"           {note}")
    for warning in result.warnings:
        out.line(f"  warning  {warning}", style="yellow")
    out.line(
        f"  items    {counts.found:,} {found_word(job.kind)} = {counts.succeeded:,} succeeded + "
        f"{counts.failed:,} failed + {counts.skipped:,} skipped + {counts.not_attempted:,} not attempted"
        f"{f' ({counts.elsewhere:,} of them elsewhere)' if counts.elsewhere else ''}"
    )
    seconds = (result.ended - result.started).total_seconds()
    again = f" ({items(result.this_attempt.found)} tried)" if result.attempt > 1 else ""
    out.line(
        f"           {bytes_text(counts.bytes)}, success rate {result.success_rate:.2f} %, "
        f"attempt {result.attempt}{again} in {duration_text(seconds)}"
    )
    _print_estimate(out, job)
    if result.receipt is not None and str(result.receipt) not in result.message:
        out.line(f"  receipt  {result.receipt}")
    if result.duplicates is not None and result.duplicates.items:
        found = result.duplicates
        withheld = f"; not delivered again: {items(found.withheld)}, {bytes_text(found.withheld_bytes)}"
        out.line(f"  duplicates {items(found.items)}, {bytes_text(found.bytes)}{withheld if found.withheld else ''}")
    if result.package:
        out.line(f"  package  {result.package}")
        out.line(f"           fingerprint {result.fingerprint}")
    if result.codes:
        out.line(f"  report   {result.error_report} (errors.csv beside it)")
        out.line()
        print_codes(out, result.code_counts)


def _print_estimate(out: Output, job: Job) -> None:
    """Print what was expected of a collection, if it was estimated."""
    estimate = None if job.record is None else estimate_of(job.record)
    if estimate is None:
        return
    rows = expected_rows(estimate, job.result)
    expected = ", ".join([items(estimate.items), *(text for _, text, _ in rows[1:])])
    out.line(f"  estimate {expected} (made {estimate.made_at:%Y-%m-%d %H:%M} UTC)")


def print_codes(out: Output, counts: Iterable[CodeCount]) -> None:
    """Print the outcomes and error codes of the items that did not succeed, with what to do."""
    rows = [(one.outcome, one.code, items_text(one.items), one.action) for one in counts]
    out.table(("outcome", "code", "items", "what to do"), rows, right=("items",), fold={"what to do": 20})


def _print_exports(out: Output, job: Job) -> None:
    """Print the exports of a collection, with what each lacks that was collected later; of an export what it lacks."""
    try:
        made = job.exports
    except CollectError as error:
        out.line(f"  exports  {tidy(str(error))}", style="yellow")
        return
    for one in made:
        if job.kind is JobKind.COLLECTION:
            out.line(f"  export   {one.job_id} to {one.package}")
        if one.note:
            out.line(f"  warning  {one.note}", style="yellow")


def _print_attempts(out: Output, attempts: list[TaskResult]) -> None:
    if not attempts:
        return
    out.line()
    rows = [
        (
            each.attempt,
            each.status.value,
            f"{each.started:%Y-%m-%d %H:%M:%S}",
            duration_text((each.ended - each.started).total_seconds()),
            f"{each.this_attempt.found:,}",
            f"{each.this_attempt.succeeded:,}",
            f"{each.counts.succeeded:,} of {each.counts.found:,}",
        )
        for each in attempts
    ]
    fold = {"status": len("Successfully"), "started (UTC)": len("2026-01-31")}
    headings = ("attempt", "status", "started (UTC)", "took", "tried", "succeeded", "in all")
    out.table(headings, rows, right=("attempt", "took", "tried", "succeeded", "in all"), fold=fold)


def _print_steps(out: Output, job: Job, location: str) -> None:
    if not job.next_steps:
        return
    store = None if location in ("", store_location(None)) else location
    out.line()
    out.line("Next steps", style="bold")
    for step in job.next_steps:
        out.line(f"  {step.value:<9}{step_command(step, job.id, store)}")


def shown_json(job: Job, status_from: str) -> dict[str, Any]:
    """Return the JSON of ``show``: that of the job, with its attempts, and where its status is from."""
    return {
        **job.to_json(),
        "definition": job.status and definition(job.kind, job.status, has_report=job.result is not None),
        "status_from": status_from,
        "source_settings": job.source_settings,
        "retry_settings": job.retry_settings,
        "hashes": [] if job.record is None else [*job.record.hashes],
        "exports": _exports_json(job),
        "awaits": _awaited(job),
        "attempts": [
            {**each.to_json(), "success_rate": each.success_rate, "error_report": each.error_report}
            for each in job.attempts
        ],
    }


def _exports_json(job: Job) -> list[dict[str, Any]] | None:
    """Return the exports of a collection, or an export itself, as JSON; None if the custody log cannot be read."""
    try:
        return [{**asdict(one), "note": one.note} for one in job.exports]
    except CollectError:
        return None
