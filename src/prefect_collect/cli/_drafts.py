"""The commands `draft` and `edit`: save a collection without starting it, and change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_collect.cli._collection_options import CollectionOptions
from prefect_collect.cli._exits import OK, PROGRAM
from prefect_collect.cli._find_job import find_job, readable
from prefect_collect.cli._jobs import prepared, require_saved, source_of
from prefect_collect.cli._output import Output
from prefect_collect.cli._server import configured_api, prefect_server
from prefect_collect.cli._summary import print_job_summary
from prefect_collect.errors import UsageError
from prefect_collect.sources.query import Query

if TYPE_CHECKING:
    from prefect_collect.jobs import Job


@dataclass(frozen=True)
class Changes:
    """What ``edit`` is to change.

    Attributes:
        options: The options, with the names of the given ones.
        source: The new source; None to keep it.
        everything: Drop the draft's query.
        no_export: Drop the export that was made with the draft.
    """

    options: CollectionOptions
    source: str | None = None
    everything: bool = False
    no_export: bool = False


def save_draft(named: str, options: CollectionOptions, store: str | None, *, single_writer: bool, json: bool) -> int:
    """Run ``draft``."""
    out = Output(as_json=json)
    ready = prepared(named, options, store, single_writer=single_writer)
    shared = configured_api() is not None
    from prefect_collect import jobs

    with prefect_server(out.say):
        job = jobs.draft_collection(**ready.with_saved())
        return _show(out, job, shared=shared)


def change_draft(text: str, changes: Changes, store: str | None, *, json: bool) -> int:
    """Run ``edit``."""
    out = Output(as_json=json)
    options = changes.options
    if changes.no_export and options.export_to is not None:
        raise UsageError("--no-export drops the export that --export-to asks for; leave one of them out.")
    if options.access and changes.source is None:
        raise UsageError(f"--{next(iter(options.access)).replace('_', '-')} needs --source, as it is an option of it.")
    Query.of(options.query)
    found = find_job(text, store, served=True)
    shared = configured_api() is not None
    from prefect_collect import jobs

    with prefect_server(out.say):
        job = jobs.get(found.id)
        changed = _changed(job, changes, store)
        if not changed:
            raise UsageError(f"Nothing was given to change; see `{PROGRAM} edit --help`. [job={job.id}]")
        awaited = _awaiting(job)
        return _show(out, jobs.edit_draft(job.id, **changed), shared=shared, awaited=awaited)


def _changed(job: Job, changes: Changes, store: str | None) -> dict[str, Any]:
    options, parameters = changes.options, job.parameters
    changed = options.changes()
    if options.query or changes.everything:
        changed["query"] = Query.of({**_kept(job, changes), **options.query}).to_json()
    if changes.source is not None:
        changed["source"] = source_of(changes.source, options.access)
    present = parameters.get("auto_export")
    export = None if changes.no_export else options.auto_export(present, store)
    if export != present:
        require_saved(export)
        changed["auto_export"] = export
    return changed


def _kept(job: Job, changes: Changes) -> dict[str, Any]:
    """Return the fields of the draft's query that stay; lists of patterns that are replaced are not read."""
    from prefect_collect.jobs import query_of

    if changes.everything:
        return {}
    if {"include", "exclude"} <= changes.options.query.keys():
        return {name: value for name, value in (job.parameters.get("query") or {}).items() if name != "patterns"}
    return query_of(job).to_json()


def _show(out: Output, job: Job, *, shared: bool, awaited: str | None = None) -> int:
    """Print a draft and its next steps; `awaited` is the id of the export that awaited it before it was changed."""
    job, _ = readable(job)
    page = _page(job.id) if shared else None
    export = _awaiting(job)
    deleted = awaited if awaited != export else None
    said = {"expected": job.expected, "parameters": job.parameters, "export_id": export, "page": page}
    out.json({**job.to_json(), **said, **({} if deleted is None else {"export_deleted": deleted})})
    store = job.parameters.get("store")
    print_job_summary(out, job, store if isinstance(store, str) else "", export=export)
    if deleted is not None:
        instead = f"; job {export} awaits the draft in its place" if export else ""
        out.line(f"  export   job {deleted}, which awaited the draft, was deleted{instead}")
    if page is not None:
        out.line(f"  {'':<9}or Resume on its page in Prefect: {page}")
    return OK


def _awaiting(job: Job) -> str | None:
    """Return the id of the export that awaits the draft; None if there is none."""
    if not job.parameters.get("auto_export"):
        return None
    from uuid import UUID

    from prefect.client.orchestration import get_client

    from prefect_collect.flows.auto_exports import exports_of, is_awaiting

    with get_client(sync_client=True) as client:
        return next((str(run.id) for run in exports_of(client, UUID(job.id)) if is_awaiting(run)), None)


def _page(job_id: str) -> str | None:
    from prefect.utilities.urls import url_for

    return url_for("flow-run", obj_id=job_id)
