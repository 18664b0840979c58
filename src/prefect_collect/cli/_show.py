"""The commands `show`, `jobs`, `preview` and `download`, which start no Prefect server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._deleted import print_deleted, recorded_jobs, to_json
from prefect_collect.cli._find_job import Found, find_job, place_in_prefect, read_job, readable, uncounted
from prefect_collect.cli._following import queue_line
from prefect_collect.cli._listing import Listed, listed_jobs, shortest
from prefect_collect.cli._output import Output
from prefect_collect.cli._passphrases import new_passphrase
from prefect_collect.cli._places import require_store, require_usable, store_location
from prefect_collect.cli._server import configured_api, quieten
from prefect_collect.cli._summary import print_job_summary, shown_json
from prefect_collect.cli._words import tidy
from prefect_collect.errors import CollectError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.pages.text import bytes_text, counted, items
from prefect_collect.statuses import JobKind, JobStatus, NextStep, should_poll
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from prefect_collect.jobs import Job


def show_job(text: str, store: str | None, *, json: bool) -> None:
    """Run ``show``."""
    out = Output(as_json=json)
    found = find_job(text, store)
    job, status_from = read_job(found)
    location = found.location if job.place is None else job.place.store.url
    job, lacking = readable(job)
    lacking = lacking or uncounted(job, lacking)
    if json:
        out.json({**shown_json(job, status_from), "queue": _place(job, status_from), "store": location})
    else:
        print_job_summary(out, job, location, whole=True, queue=queue_line(job) if status_from == "prefect" else "")
        if lacking and not should_poll(job.task_status) and job.status is not JobStatus.DRAFTED:
            out.say(f"(no more is known of the job: {tidy(lacking)})")
        _say_where_from(out, status_from)


def _place(job: Job, status_from: str) -> dict[str, Any] | None:
    """Return the job's place in the queue of its data source, as JSON; None if it is not queued."""
    if status_from != "prefect":
        return None
    from dataclasses import asdict

    from prefect_collect import jobs

    place = jobs.place_in_queue(job)
    return None if place is None else asdict(place)


def _say_where_from(out: Output, status_from: str) -> None:
    if status_from != "prefect":
        out.say("(as the staging store shows it; set PREFECT_API_URL to ask Prefect)")


def show_jobs(limit: int, store: str | None, *, kind: str | None, statuses: set[str], json: bool) -> None:
    """Run ``jobs``; empty `statuses` stand for all."""
    out = Output(as_json=json)
    if store is not None:
        require_store(store_location(store))
    wanted = None if kind is None else JobKind(kind)
    # One more than is shown tells whether there are more; to look for one of some statuses could take many reads.
    one_more = 0 if statuses else 1
    listed, status_from = _listed(limit + one_more if store is None else None, store, wanted, statuses)
    fitting = [one for one in listed if not statuses or one.status in statuses]
    found = fitting[:limit]
    deleted = recorded_jobs(listed, store and store_location(store), wanted, statuses)
    kept = {job.job_id for job in deleted if job.is_kept}
    gone = [one for one in found if one.job.is_deleted_in_prefect and one.job.id not in kept]
    if json:
        known = {one.job.id for one in found}
        others = [to_json(job) for job in deleted if job.job_id not in known and not job.is_kept]
        out.json([*(_json_of(one, status_from, kept) for one in found), *others])
    else:
        ids = shortest([*(one.job.id for one in listed), *(job.job_id for job in deleted)])
        all_found, found = found, [one for one in found if one not in gone]
        custodians = [_custodian(one) for one in found]
        named = ("custodian",) if any(custodians) else ()
        # The staging store knows of a job from its first start on, Prefect from when it was saved as a draft.
        when = "created (UTC)" if status_from == "prefect" else "started (UTC)"
        out.table(
            ("job", "kind", "name", *named, "status", "items", "succeeded", "failed", "bytes", when),
            [_row(one, custodian if named else None) for one, custodian in zip(found, custodians, strict=True)],
            right=("items", "succeeded", "failed", "bytes"),
            fold={"name": 10, "custodian": 9, "status": len("Successfully"), when: len("2026-01-31")},
            brief={"job": [ids[one.job.id] for one in found]},
            spare=("bytes", when, "kind"),
        )
        if len(fitting) > limit:
            out.line(f"The newest {counted(limit, 'job')}; --limit shows more.")
        elif store is None and statuses and len(fitting) == limit:
            out.line(f"The newest {counted(limit, 'job')} of that status; --limit may show more.")
        print_deleted(out, gone, deleted, ids)
        found = all_found
    for one in found:
        if one.trouble:
            out.say(f"(not all is known of {one.job.id}: {tidy(one.trouble)})")
    if json:
        return
    if not found and not deleted:
        where = f" in {store_location(store)}" if status_from != "prefect" else ""
        out.say(f"No {'such ' if kind or statuses else ''}jobs{where}.")
    _say_where_from(out, status_from)


def _json_of(one: Listed, status_from: str, kept: set[str]) -> dict[str, Any]:
    state = {"deleted_in_prefect": one.job.is_deleted_in_prefect, "kept": one.job.id in kept}
    return {**one.to_json(), "status_from": status_from, **(state if one.job.is_deleted_in_prefect else {})}


def _listed(limit: int | None, store: str | None, kind: JobKind | None, statuses: set[str]) -> tuple[list[Listed], str]:
    if configured_api() is not None:
        from prefect_collect import jobs

        return listed_jobs(jobs.list_jobs(limit, store, kind, [*map(JobStatus, statuses)])), "prefect"
    from prefect_collect.cli._listing import listed_evidence

    found = listed_evidence(open_store(store_location(store)))
    return [one for one in found if kind in (None, one.kind)], "staging store"


def _custodian(one: Listed) -> str:
    """Return the job's custodian; "" if it is not known."""
    try:
        return one.job.custodian
    except CollectError:
        return ""


def _row(one: Listed, custodian: str | None) -> tuple[str, ...]:
    job = one.job
    counts = job.result.counts if job.result is not None else None
    numbers = ("?",) * 4 if one.trouble else ("",) * 4
    if counts is not None:
        numbers = (f"{counts.found:,}", f"{counts.succeeded:,}", f"{counts.failed:,}", bytes_text(counts.bytes))
    created = f"{job.created:%Y-%m-%d %H:%M:%S}" if job.created else ""
    named = (job.name,) if custodian is None else (job.name, custodian)
    return (job.id, one.kind.value if one.kind else "", *named, one.status or "unknown", *numbers, created)


def show_preview(text: str, limit: int, store: str | None, *, json: bool) -> None:
    """Run ``preview``."""
    quieten()
    from prefect_collect import jobs

    out = Output(as_json=json)
    found = find_job(text, store)
    location = _store_of(found, NextStep.PREVIEW)
    rows: list[dict[str, Any]] = jobs.preview(found.id, limit, location, warn=partial(_remark, out))
    result = JobFolder(open_store(location), found.id).present()
    held = len(rows) if result is None else result.counts.succeeded
    if json:
        out.json({"job_id": found.id, "held": held, "items": rows})
        return
    shown = [(f"{row['size']:,}", _minute(row["source_modified"]), row["sha256"], row["path"]) for row in rows]
    fold = {"modified (UTC)": len("2026-01-31"), "SHA-256": 32, "path": 12}
    out.table(("size", "modified (UTC)", "SHA-256", "path"), shown, right=("size",), fold=fold)
    if len(rows) < held:
        out.line(f"{len(rows):,} of {items(held)}; --limit shows more.")


def _remark(out: Output, text: str) -> None:
    out.say(f"({text})")


def _minute(time: Any) -> str:
    return f"{time:%Y-%m-%d %H:%M}".zfill(16) if time is not None else ""


def _store_of(found: Found, step: NextStep) -> str:
    """Return the store in which the job was found, else the one in the job's parameters in Prefect."""
    return found.location if found.in_store else place_in_prefect(found.id, step)


def download_package(
    text: str, to: Path, store: str | None, *, encrypt: bool, passphrase_from: str | None, json: bool
) -> None:
    """Run ``download``; with `passphrase_from`, the copy is encrypted too."""
    quieten()
    from prefect_collect import jobs

    out = Output(as_json=json)
    require_usable(str(to.absolute()))
    found = find_job(text, store)
    where = _store_of(found, NextStep.DOWNLOAD)
    passphrase = new_passphrase(passphrase_from, out.say) if encrypt or passphrase_from is not None else None
    path = jobs.download(found.id, to, where, passphrase=passphrase, warn=partial(_remark, out))
    out.json({"job_id": found.id, "path": str(path)})
    out.line(str(path))
