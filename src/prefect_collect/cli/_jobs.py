"""The commands `collect` and `export`, which run a new job in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._apart import require_apart, require_apart_from_folder, require_export_apart
from prefect_collect.cli._exits import FAILED, PROGRAM, exit_code
from prefect_collect.cli._find_job import find_job, place_in_prefect, readable, require_offered, uncounted
from prefect_collect.cli._following import follow
from prefect_collect.cli._interrupts import ended_job, one_interrupt
from prefect_collect.cli._output import Output
from prefect_collect.cli._places import destination, is_saved, require_usable, saved_destination, store_location
from prefect_collect.cli._progress import shown_jobs
from prefect_collect.cli._run_command import print_error
from prefect_collect.cli._server import prefect_server
from prefect_collect.cli._summary import print_job_summary
from prefect_collect.cli._vouching import require_bucket, vouched
from prefect_collect.formats import LIMITED, parsed_options, require_options, require_source
from prefect_collect.parameters import IN_THREADS
from prefect_collect.runs import saved_names
from prefect_collect.runs.imports import importing
from prefect_collect.statuses import JobKind, JobStatus, NextStep, should_poll
from prefect_collect.stores import open_store
from prefect_collect.stores.addresses import INSIDE

if TYPE_CHECKING:
    from prefect.blocks.core import Block

    from prefect_collect.blocks import DataSource
    from prefect_collect.cli._collection_options import CollectionOptions
    from prefect_collect.jobs import Job


@dataclass(frozen=True)
class Ready:
    """A collection that passed all checks that need no server.

    Attributes:
        named: The source, as the command line names it.
        access: The options of access to it: fields of its block.
        location: The location of the staging store.
        parameters: The parameters of the flow `collect`, except `source`.
        source: The source; None for a saved block, which is loaded from Prefect.
    """

    named: str
    access: dict[str, Any]
    location: str
    parameters: dict[str, Any]
    source: DataSource | None

    def with_saved(self) -> dict[str, Any]:
        """Return all parameters of the flow, with the saved blocks, which needs a server.

        Raise InvalidLocation, SourceNotFound or UsageError if one of them is not valid.
        """
        export = self.parameters["auto_export"]
        require_saved(export)
        source = self.source or source_of(self.named, self.access)
        require_apart(source, self.location, export, saved=True)
        return {"source": source, **self.parameters}


def prepared(named: str, options: CollectionOptions, store: str | None, *, single_writer: bool) -> Ready:
    """Check a collection as far as possible before a server is started or a job is created.

    Raise UsageError, InvalidQuery, InvalidLocation or SourceNotFound if it is not valid.
    """
    parameters = options.parameters(store)
    location = store_location(store)
    open_store(location)
    [parameters["store"]] = vouched(location) if single_writer else [location]
    # Options of access cannot be used with a saved block, and are refused without loading one.
    source = None if may_be_saved(named) and not options.access else source_of(named, options.access)
    if source is not None:
        require_apart(source, location, parameters["auto_export"])
    require_usable(location)
    if (runner := parameters["runner"]) not in IN_THREADS:
        from prefect_collect.flows.runners import require_runner

        require_runner(runner, parameters.get("runner_address"))
    return Ready(named, options.access, location, parameters, source)


def run_collection(
    named: str, options: CollectionOptions, store: str | None, *, single_writer: bool, json: bool
) -> int:
    """Run ``collect``."""
    out = Output(as_json=json)
    ready = prepared(named, options, store, single_writer=single_writer)
    with one_interrupt():
        with prefect_server(out.say):
            job = collect_here(**ready.with_saved())
            exported = export_made_with(job, out.say)
        return end(out, job, ready.location, exported)


def require_saved(auto_export: dict[str, Any] | None) -> None:
    """Raise InvalidLocation if the export goes to a saved block that Prefect does not have."""
    if auto_export is not None and is_saved(auto_export["destination"]):
        saved_destination(auto_export["destination"])


def may_be_saved(location: str) -> bool:
    """Return whether the location can only be a saved block, ``name`` or ``slug/name``, so that Prefect is asked.

    Raise SourceNotFound if it is known without a server that there is no such block; InvalidLocation if none can have
    that name.
    """
    kind, is_inside, rest = location.partition(":")
    if is_inside and kind in INSIDE:
        return may_be_saved(rest)
    if "://" in location or os.path.lexists(os.path.expanduser(location)):
        return False
    if location.count("/") > 1 or location.startswith((".", "/", "~")) or ":" in location:
        return False
    if not saved_names.may_be_saved(location):
        _refuse_unsaved(location)
    return True


def _refuse_unsaved(location: str) -> None:
    from prefect_collect.cli._server import quieten

    quieten()
    with importing(freeze=True):
        from prefect_collect.blocks.locate import require_there

    require_there(location, "no data source is saved by that name in Prefect")


def source_of(named: str, access: dict[str, Any]) -> DataSource:
    """Return the named source. Raise InvalidLocation, SourceNotFound or UsageError if there is none."""
    from prefect_collect.cli._server import quieten

    quieten()
    with importing(freeze=True):
        from prefect_collect.blocks import source_from

    return source_from(named, **access)


def collect_here(**parameters: Any) -> Job:
    """Collect in this process, with a progress bar, and return the job; `parameters` are those of the flow."""
    from prefect.context import SyncClientContext

    from prefect_collect import jobs
    from prefect_collect.flows import collect

    with SyncClientContext.get_or_create(), shown_jobs():
        return ended_job(
            lambda: _run_of(collect(**parameters, return_state=True)),
            lambda job_id: _collection_of(jobs.get(job_id, parameters["store"])),
        )


def _run_of(state: Any) -> str:
    return str(state.state_details.flow_run_id)


def _collection_of(job: Job) -> Job:
    """Return the job, or its collection if it is the export that ran after it when Ctrl-C came."""
    if job.kind is JobKind.COLLECTION:
        return job
    from prefect_collect import jobs

    return jobs.get(job.parameters["collection_job"], job.folder.store.url)


def run_export(text: str, to: str, store: str | None, *, single_writer: bool, json: bool, **options: Any) -> int:
    """Run ``export``; `options` are parameters of the flow."""
    from prefect_collect.exporting.bag_conformity import require_profile
    from prefect_collect.exporting.bound_collection import bind_collection
    from prefect_collect.exporting.control_numbers import require_continuable
    from prefect_collect.exporting.delivery import Delivery, require_later
    from prefect_collect.exporting.duplicates import require_comparable
    from prefect_collect.exporting.unchanged import require_whole

    out = Output(as_json=json)
    require_options(options["format"], {name: options[name] for name in LIMITED if name in options})
    goal = destination(to)
    found = find_job(text, store, served=True)
    require_offered(found, NextStep.EXPORT)
    # As much as possible is checked before a server is started and a job is created.
    if found.in_store:
        bound = bind_collection(open_store(found.location), found.id)
        require_source(options["format"], bound.record.source)
        require_whole(bound, options["format"], options.get("deduplicate"))
        grouped = parsed_options(options)
        require_continuable(bound.folder.store, grouped.get("load_file"))
        opened = bound.folder.store if is_saved(goal) else open_store(goal)
        delivery = Delivery(opened, options["format"], options["sha512"], bag=grouped.get("bag"))
        require_profile(bound, delivery)
        require_comparable(bound.folder.store, found.id, options["duplicates_of"] or ())
        if not is_saved(goal):
            require_apart_from_folder(bound.record, found.location, goal)
            delivery.require_free(delivery.base(bound.record), bound.folder)
            require_later(bound, delivery)
        if single_writer:
            require_bucket(*_unsaved(found.location, goal))
    with one_interrupt():
        with prefect_server(out.say):
            location = found.location if found.in_store else place_in_prefect(found.id, NextStep.EXPORT)
            places: list[Block | str] = [*_unsaved(goal, location)]
            if single_writer:
                places = vouched(*_unsaved(goal, location))
            if is_saved(goal):
                places.insert(0, saved_destination(goal))
            if found.in_store:
                require_export_apart(bound.record, location, places[0])
            job = export_here(found.id, *places, **options)
        return end(out, job, location)


def _unsaved(*locations: str) -> list[str]:
    """Return the locations that are not saved blocks; a block has its own setting for a single writer."""
    return [location for location in locations if not is_saved(location)]


def export_here(job_id: str, destination: Block | str, store: Block | str, **options: Any) -> Job:
    """Export in this process, with a progress bar, and return the job."""
    from prefect.context import SyncClientContext

    from prefect_collect import jobs
    from prefect_collect.flows import export

    with SyncClientContext.get_or_create(), shown_jobs():
        return ended_job(
            lambda: _run_of(export(job_id, destination, store=store, **options, return_state=True)),
            lambda own_id: jobs.get(own_id, store),
        )


def export_made_with(job: Job, say: Callable[[str], None]) -> Job | None:
    """Wait for the export that was made with the collection, and return it; None if there is none.

    An export that still awaits the collection is returned as it is.
    """
    if job.kind is not JobKind.COLLECTION or not job.parameters.get("auto_export"):
        return None
    from uuid import UUID

    from prefect.client.orchestration import get_client

    from prefect_collect import jobs
    from prefect_collect.flows.auto_exports import exports_of
    from prefect_collect.runs.labels import EXPORT_WHEN, label_of

    with get_client(sync_client=True) as client:
        made = [str(run.id) for run in exports_of(client, UUID(job.id)) if label_of(run, EXPORT_WHEN)]
    if not made:
        return None
    export = jobs.get(made[0])
    if export.status is JobStatus.AWAITING_COLLECTION and job.status is JobStatus.SUCCESSFULLY_COMPLETED:
        say(f"The export {export.id} was not begun; the next job, or `{PROGRAM} serve`, starts it.")
    if export.status is JobStatus.AWAITING_COLLECTION or not should_poll(export.task_status):
        return export
    say(f"A worker runs the export {export.id}; waiting for its end. Ctrl-C ends the wait, not the export.")
    return follow(export.id, None, say)


def end(out: Output, job: Job, location: str, exported: Job | None = None) -> int:
    """Print the job, and the export that was made with it, and return the exit code."""
    job, failed, lacking = _readable(job)
    document = job.to_json()
    code = FAILED if job.status is None else exit_code(job.status)
    if not out.as_json:
        print_job_summary(out, job, location, message=not failed, uncounted=lacking)
    if exported is not None:
        exported, failed, lacking = _readable(exported)
        document["export"] = exported.to_json()
        out.line()
        if not out.as_json:
            print_job_summary(out, exported, location, message=not failed, uncounted=lacking)
        if exported.status is not JobStatus.AWAITING_COLLECTION:
            code = max(code, exit_code(exported.status))
    out.json(document)
    return code


def _readable(job: Job) -> tuple[Job, bool, str]:
    """Return the job as far as it can be read, whether it failed (then print that), and why it has no counts."""
    job, lacking = readable(job)
    ended = not should_poll(job.task_status)
    failed = ended and (job.status in (JobStatus.FAILED, None) or job.result is None)
    if failed:
        print_error(job.message or "The job ended without a status.")
    return job, failed, uncounted(job, lacking)
