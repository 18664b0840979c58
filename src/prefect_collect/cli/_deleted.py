"""Jobs that were deleted in Prefect, but not their evidence: listed at the end of `jobs`, kept by `keep`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._exits import OK
from prefect_collect.cli._find_job import find_job
from prefect_collect.cli._listing import Listed
from prefect_collect.cli._output import Output
from prefect_collect.cli._server import configured_api, prefect_server
from prefect_collect.cli._words import tidy
from prefect_collect.pages.text import bytes_text
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_collect.jobs import DeletedJob
    from prefect_collect.statuses import JobKind

_UNRECORDED: Final = "Prefect has no run of it any more."


def recorded_jobs(
    listed: Sequence[Listed], store: str | None, kind: JobKind | None, statuses: set[str]
) -> list[DeletedJob]:
    """Return the jobs that the recovery found deleted in Prefect and that are to be listed; those kept among them.

    Args:
        listed: The jobs that are listed anyway.
        store: The staging store that the user named, if one was.
        kind: Only that kind.
        statuses: Only these statuses; empty for all.
    """
    if configured_api() is None:
        return []
    from prefect_collect import jobs

    url = None if store is None else open_store(store).url
    listed_too = {one.job.id for one in listed}
    return [
        job
        for job in jobs.list_deleted().jobs
        if kind in (None, job.kind)
        and (not statuses or str(job.status) in statuses)
        and (url in (None, job.store))
        and (not job.is_kept or job.job_id in listed_too)
    ]


def print_deleted(out: Output, found: Sequence[Listed], recorded: Sequence[DeletedJob], ids: dict[str, str]) -> None:
    """Print the jobs that were deleted in Prefect, and what can be done with their evidence."""
    reasons = {job.job_id: job.reason for job in recorded}
    rows = [
        (one.job.id, one.job.name, one.status or "unknown", *_counts(one),
         "" if one.job.place is None else one.job.place.store.url, reasons.get(one.job.id, _UNRECORDED))
        for one in found
    ]  # fmt: skip
    shown = {one.job.id for one in found}
    rows += [
        (job.job_id, job.name, str(job.status or "unknown"), f"{job.items:,}", bytes_text(job.bytes), job.store,
         tidy(job.problem) or job.reason)
        for job in recorded if not job.is_kept and job.job_id not in shown
    ]  # fmt: skip
    if not rows:
        return
    out.line()
    out.line("Deleted in Prefect, but not their evidence:", style="bold")
    out.table(
        ("job", "name", "status", "items", "bytes", "staging store", "run"), rows, right=("items", "bytes"),
        fold={"name": 10, "status": len("Successfully"), "staging store": 16, "run": 20},
        brief={"job": [ids.get(row[0], row[0]) for row in rows]}, spare=("run", "bytes", "staging store"),
    )  # fmt: skip
    out.say("(`prefect-collect delete JOB` deletes a job's evidence, `prefect-collect keep JOB` keeps it)")


def _counts(one: Listed) -> tuple[str, str]:
    result = None if one.trouble else one.job.result
    return ("?", "?") if result is None else (f"{result.counts.succeeded:,}", bytes_text(result.counts.bytes))


def to_json(job: DeletedJob) -> dict[str, Any]:
    """Return a job of which only the record of the last look is known, as JSON, with the fields of a listed job."""
    unknown = (
        "attempt", "found", "failed", "skipped", "not_attempted", "elsewhere", "success_rate", "error_report",
    )  # fmt: skip
    return {
        **dict.fromkeys(unknown), "codes": {}, "outcomes": {}, "warnings": [], "notes": [],
        "status_from": "staging store", "job_id": job.job_id, "kind": job.kind and job.kind.value,
        "name": job.name, "source": job.source,
        "status": job.status and job.status.value, "task_status": "UNKNOWN", "next_steps": [], "message": job.reason,
        "created": job.created and job.created.isoformat(), "succeeded": job.items, "bytes": job.bytes,
        "store": job.store, "deleted_in_prefect": True, "kept": job.is_kept, "unreadable": job.problem or None,
    }  # fmt: skip


def recorded(text: str, store: str | None) -> DeletedJob | None:
    """Return the only recorded job whose id begins with the text, if no store is named; None if there is not one."""
    if store is not None or configured_api() is None:
        return None
    from prefect_collect import jobs

    found = [job for job in jobs.list_deleted().jobs if job.job_id.startswith(text.strip().lower())]
    return found[0] if len(found) == 1 else None


def keep_job(text: str, store: str | None, *, json: bool) -> int:
    """Run ``keep``."""
    out = Output(as_json=json)
    known = recorded(text, store)
    found = None if known is not None else find_job(text, store, served=True)
    with prefect_server(out.say):
        from prefect_collect import jobs

        if found is None:
            assert known is not None
            jobs.keep(known.job_id)
        else:
            jobs.keep(found.id, store=found.location)
    job_id = known.job_id if known is not None else found.id if found is not None else ""
    out.json({"job_id": job_id, "kept": True})
    out.line(f"The evidence of {job_id} is kept.")
    return OK
