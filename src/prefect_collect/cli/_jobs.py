"""The commands that run a job in this process: collect, export, retry, start."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._exits import FAILED, exit_code
from prefect_collect.cli._interrupts import one_interrupt
from prefect_collect.cli._lookup import absolute, find_job, place_in_prefect, readable, require_usable, store_location
from prefect_collect.cli._output import Output
from prefect_collect.cli._progress import shown_jobs
from prefect_collect.cli._running import print_error
from prefect_collect.cli._server import prefect_server
from prefect_collect.cli._summary import print_job
from prefect_collect.cli._vouching import require_bucket, vouched, vouched_again
from prefect_collect.errors import UsageError
from prefect_collect.query import Query
from prefect_collect.statuses import JobStatus, NextStep, require_step
from prefect_collect.stores import open_store

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from prefect_collect.blocks import DataSource
    from prefect_collect.jobs import Job


@dataclass(frozen=True)
class Wanted:
    """What to collect, and how: the source's location, the job's name, the query, the options of the flow and those
    of the source."""

    location: str
    name: str | None = None
    query: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    access: dict[str, Any] = field(default_factory=dict)


def run_collection(wanted: Wanted, store: str | None, *, single_writer: bool, json: bool) -> int:
    """Run ``collect``."""
    out = Output(as_json=json)
    query = Query.of(wanted.query).to_json()
    location = store_location(store)
    open_store(location)  # A location that is none is refused before a server is started.
    [staging] = vouched(location) if single_writer else [location]
    # Options of the source go with no saved block, and are refused without asking for one.
    source = None if _may_be_saved(wanted.location) and not wanted.access else _source(wanted)
    require_usable(location)
    with one_interrupt():
        with prefect_server(out.say):
            job = collect_here(source or _source(wanted), wanted, query, staging)
        return end(out, job, location)


def _may_be_saved(location: str) -> bool:
    """Whether Prefect has to be asked, because it can only be a saved block: ``name`` or ``slug/name``."""
    if "://" in location or os.path.lexists(os.path.expanduser(location)):
        return False
    return location.count("/") < 2 and not location.startswith((".", "/", "~"))


def _source(wanted: Wanted) -> DataSource:
    from prefect_collect.cli._server import quieten

    quieten()
    from prefect_collect.blocks import source_from

    return source_from(wanted.location, **wanted.access)


def collect_here(source: DataSource, wanted: Wanted, query: dict[str, Any], store: Block | str) -> Job:
    """Collect in this process, with a bar, and give the job as it is then."""
    from prefect_collect import jobs
    from prefect_collect.flows import collect

    with shown_jobs():
        state = collect(source=source, query=query, name=wanted.name, store=store, **wanted.options, return_state=True)
    return jobs.get(_run_of(state), store)


def _run_of(state: Any) -> str:
    return str(state.state_details.flow_run_id)


def run_export(text: str, to: str, store: str | None, *, single_writer: bool, json: bool, **options: Any) -> int:
    """Run ``export``; `options` are those of the flow."""
    from prefect_collect.binding import bind
    from prefect_collect.exporting import Delivery

    out = Output(as_json=json)
    destination = absolute(to)
    found = find_job(text, store)
    require_usable(destination)
    # What Prefect is not needed for is refused before a server is started and a job is made.
    if found.in_store:
        bound = bind(open_store(found.location), found.id)
        Delivery(open_store(destination), options["format"]).require_free(bound.record.package_base)
        if single_writer:
            require_bucket(found.location, destination)
    with one_interrupt():
        with prefect_server(out.say):
            location = found.location if found.in_store else place_in_prefect(found.id, NextStep.EXPORT)
            if single_writer:
                job = export_here(found.id, *vouched(destination, location), **options)
            else:
                job = export_here(found.id, destination, location, **options)
        return end(out, job, location)


def export_here(job_id: str, destination: Block | str, store: Block | str, **options: Any) -> Job:
    """Export in this process, with a bar, and give the job as it is then."""
    from prefect_collect import jobs
    from prefect_collect.flows import export

    with shown_jobs():
        state = export(job_id, destination, store=store, **options, return_state=True)
    return jobs.get(_run_of(state), store)


def run_again(
    text: str, step: str, store: str | None, *, report: str | None = None, single_writer: bool, json: bool
) -> int:
    """Run ``retry`` or ``start``."""
    out = Output(as_json=json)
    rows = None if report is None else _report(report)
    found = find_job(text, store)
    if found.in_store:
        _refuse_early(found.id, found.location, NextStep(step))
        if single_writer:
            require_bucket(found.location)
    with one_interrupt():
        with prefect_server(out.say):
            staging = vouched_again(found.id, found.store) if single_writer else found.store
            job = again_here(found.id, NextStep(step), staging, report=rows)
            location = job.folder.store.url
        return end(out, job, location)


def _report(report: str) -> str:
    """The error report's location. Raises UsageError if it is none, or holds nothing to work on again."""
    from prefect_collect.reports import reported_items

    location = absolute(report)
    if not reported_items(location):
        raise UsageError(f"The error report has no rows to work on again; leave --report out, or fill it. [{location}]")
    return location


def again_here(job_id: str, step: NextStep, store: Block | str | None, *, report: str | None = None) -> Job:
    """Retry or start in this process, with a bar, and give the job as it is then."""
    from prefect_collect import jobs

    with shown_jobs():
        if step is NextStep.START:
            return jobs.start(job_id, store=store)
        return jobs.retry(job_id, only=report, store=store)


def _refuse_early(job_id: str, location: str, step: NextStep) -> None:
    """Raise ActionNotAllowed if the job's closed attempt already says that its status does not offer the step."""
    from prefect_collect.jobfolder import JobFolder

    folder = JobFolder(open_store(location), job_id)
    record, attempts = folder.record(), folder.attempts()
    result = folder.result(attempts[-1]) if attempts else None
    if result is not None:
        require_step(record.kind, result.status, step)


def end(out: Output, job: Job, location: str) -> int:
    """Print what came of the job, and give the exit code."""
    job, _ = readable(job)
    failed = job.status in (JobStatus.FAILED, None) or job.result is None
    if failed:
        print_error(job.message or "The job ended without a status.")
    if out.as_json:
        out.json(job.to_json())
    elif job.result is not None:
        print_job(out, job, location, message=not failed)
    return exit_code(job.status) if job.status is not None else FAILED
