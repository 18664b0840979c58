"""Drafts: collections that are saved without being started."""

from __future__ import annotations

import os
from typing import Any, NoReturn
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ParameterTypeError

from prefect_collect.artifacts.job_page import heading_of, show_status
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting.custodians import Custodians
from prefect_collect.errors import ActionNotAllowed, InvalidLocation, UsageError
from prefect_collect.escaping import one_line
from prefect_collect.flows import collect
from prefect_collect.flows.auto_exports import AutoExport, ensure_export, exports_of, is_awaiting, require_possible
from prefect_collect.flows.deploying import ensure_deployment
from prefect_collect.flows.draft_estimates import draft_estimate, draft_labels
from prefect_collect.flows.long_parameters import travelling, unless_refused
from prefect_collect.flows.places import require_growing, require_places
from prefect_collect.flows.stores import place_of, store_of
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.long_queries import discard
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs.lookup import get, read_run
from prefect_collect.runs.custodian_label import CUSTODIAN, custodian_labels, custodian_of
from prefect_collect.runs.job_end import forget
from prefect_collect.runs.labels import EXPORT_MADE, SOURCE, labels_of, set_labels
from prefect_collect.runs.queries import status_of
from prefect_collect.runs.refusals import prefect_errors
from prefect_collect.runs.states import state_of
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.storable import require_storable

StoreParameter = Block | str | os.PathLike[str] | None


@mapped
def draft_collection(
    source: DataSource,
    query: Query | dict[str, Any] | None = None,
    name: str | None = None,
    store: StoreParameter = None,
    auto_export: AutoExport | dict[str, Any] | None = None,
    **options: Any,
) -> Job:
    """Save a collection without starting it, and return it; it is Drafted, and starts with Start (or the UI's Resume).

    Its page and its `expected` say what it is expected to take, as `estimate` does, or why that is not known: the
    source is listed for at most 10 seconds.

    Args:
        source: The data source.
        query: The items to collect; by default all.
        name: The job's name; by default the source's.
        store: The staging store; by default the configured one.
        auto_export: The export to make of the collection; it is created too, and awaits the collection.
        options: The other parameters of the flow `collect`.

    Raises:
        UsageError: A parameter is not valid.
        InvalidQuery: The query is not valid.
        InvalidLocation: The store cannot be opened, or the job would write into its own source.
    """
    options.pop("as_draft", None)  # it is one by itself
    given = {"source": source, "query": query, "name": name, "auto_export": auto_export, **options}
    parameters = checked_collection(source, given, store)
    title = name or source.name
    custodian = custodian_labels(parameters.get("custodian") or source.custodian)
    state = state_of(JobKind.COLLECTION, JobStatus.DRAFTED, "Saved, and not started yet.")
    with get_client(sync_client=True) as client:
        # Prefect can resume only a run that has a deployment.
        deployment = ensure_deployment(client, JobKind.COLLECTION)
        with unless_refused(), prefect_errors():
            serialized = collect.serialize_parameters(parameters)
            expected = draft_estimate(source, query, store_of(parameters["store"]), parameters.get("since"))
            run = client.create_flow_run_from_deployment(
                deployment.id, parameters=serialized, state=state, name=one_line(title),
                tags=deployment.tags,
                labels=labels_of({**draft_labels(source, expected), **custodian}),
            )  # fmt: skip
        if parameters.get("auto_export") is not None:
            ensure_export(client, run, parameters["auto_export"], _reference(parameters["store"]), source.name)
        run = client.read_flow_run(run.id)
    job = get(run.id)
    custody_log.append(job.folder, "drafted", {"name": title, "source": source.location()})
    publish_status(JobKind.COLLECTION, JobStatus.DRAFTED, run, is_shown=True)
    _show_draft(run, source.name, expected)
    return job


def checked_collection(source: DataSource, given: dict[str, Any], store: StoreParameter) -> dict[str, Any]:
    """Return the parameters of a new collection, validated, with its store. Raise as `draft_collection` does."""
    # The deployment's form accepts no None: parameters that are not given are left out.
    parameters = _checked({field: value for field, value in given.items() if value is not None})
    parameters["store"] = _pinned(store)
    staging, export = store_of(parameters["store"]), parameters.get("auto_export")
    require_places(source, staging, export)
    require_possible(staging, "", export, parameters.get("since"))
    require_growing(export)
    return parameters


@mapped
def edit_draft(job_id: str | UUID, **changes: Any) -> Job:
    """Change parameters of a draft, and its name, page and waiting export with them; return the draft.

    Args:
        job_id: The job's id.
        changes: Parameters of `draft_collection` by name; None removes one.

    Raises:
        UsageError: A parameter is not valid.
        ActionNotAllowed: The job is not a draft, or was started at the same moment, so that the change may be too late.
    """
    job = get(job_id)
    if job.kind is JobKind.EXPORT:
        _refuse_export(job)
    _require_draft(job.id, job.status)
    if "store" in changes:
        raise UsageError(
            "store of a draft cannot be changed, as its custody log is there; delete the draft and make a new one."
        )
    checked = _checked({"source": job.parameters["source"], **changes})
    block = checked["source"]
    source = block.name if "source" in changes else job.source
    export = checked["auto_export"] if "auto_export" in checked else job.parameters.get("auto_export")
    wanted = None if export is None else AutoExport.model_validate(export)
    require_places(checked["source"], place_of(job.parameters.get("store")), wanted)
    if {"auto_export", "since"} & checked.keys():
        since = checked["since"] if "since" in checked else job.parameters.get("since")
        require_possible(job.folder.store, job.id, wanted, since)
        require_growing(wanted)
    asked = checked["query"] if "query" in changes else job.parameters.get("query")
    if "source" not in changes:
        del checked["source"]
    renamed = bool({"source", "name"} & changes.keys())
    with get_client(sync_client=True) as client:
        run_id = UUID(job.id)
        with unless_refused(), prefect_errors():
            if "query" in checked:
                checked["query"] = travelling(Query.of(checked["query"]), job.folder.store)
            merged = {**job.parameters, **collect.serialize_parameters(checked)}
            parameters = {name: value for name, value in merged.items() if value is not None}
            expected = draft_estimate(
                block, asked, job.folder.store, parameters.get("since"), job_id=job.id, known=True
            )
            # Saving the source's block and listing it took time: the draft may have been started since it was read.
            _require_draft(job.id, status_of(JobKind.COLLECTION, read_run(client, run_id)))
            client.update_flow_run(
                run_id, parameters=parameters, name=one_line(parameters.get("name") or source) if renamed else None
            )
        run = read_run(client, run_id)
        status = status_of(JobKind.COLLECTION, run)
        custody_log.append(job.folder, "edited", {"parameters": sorted(changes), "status": status})
        _require_draft(job.id, status, edited=True)
        if "query" in checked:
            discard(job.folder.store, job.parameters.get("query"))
        labels = {SOURCE: source}
        if {"source", "custodian"} & changes.keys():
            labels[CUSTODIAN] = custodian_of(parameters, {}) or block.custodian
        set_labels(client, run_id, {**draft_labels(block, expected), **labels})
        _show_draft(run, source, expected)
        if "auto_export" in checked:
            _replace_export(client, run_id, checked["auto_export"], parameters["store"], source)
        elif renamed or "custodian" in changes:
            _rename_exports(client, run, labels, source)
    return get(job_id)


def _refuse_export(job: Job) -> NoReturn:
    """Raise ActionNotAllowed, as an export is no draft; it says which draft an awaiting one belongs to."""
    if job.status is not JobStatus.AWAITING_COLLECTION:
        raise ActionNotAllowed(f"Only a draft can be edited; this job is an export, and {job.status}. [job={job.id}]")
    collection = job.parameters.get("collection_job")
    raise ActionNotAllowed(
        f"This job is no draft, but an export that awaits collection {collection}. If that is a draft, "
        f"`prefect-collect edit {collection}` changes the export too, with --export-to and the options of exports. "
        f"[job={job.id}]"
    )


def _require_draft(job_id: str, status: JobStatus | None, *, edited: bool = False) -> None:
    """Raise ActionNotAllowed if the job is not a draft, or was started while it was edited."""
    if status is JobStatus.DRAFTED:
        return
    if edited:
        raise ActionNotAllowed(
            f"The draft was started at the same moment, so the change may be too late; the job is {status}. Check what "
            f"it collects, or cancel it and make a new draft. [job={job_id}]"
        )
    raise ActionNotAllowed(f"Only a draft can be edited; this job is {status}. [job={job_id}]")


def _show_draft(run: FlowRun, source: str, expected: str = "", *, kind: JobKind = JobKind.COLLECTION) -> None:
    """Show the page of a draft with what is expected of it, or of the export that awaits it."""
    show_status(
        heading_of(run, kind, source),
        JobStatus.DRAFTED if kind is JobKind.COLLECTION else JobStatus.AWAITING_COLLECTION,
        expected,
    )


def _replace_export(
    client: SyncPrefectClient, run_id: UUID, wanted: AutoExport | None, store: str | dict[str, Any], source: str
) -> None:
    """Delete the export that awaits the draft, and create the wanted one, if any."""
    set_labels(client, run_id, {EXPORT_MADE: ""})
    for other in exports_of(client, run_id):
        if is_awaiting(other):
            forget(client, other.id)
    if wanted is not None:
        ensure_export(client, read_run(client, run_id), wanted, store, source)


def _rename_exports(client: SyncPrefectClient, draft: FlowRun, labels: dict[str, str], source: str) -> None:
    """Rename the export that awaits the draft after the draft, unless it has a name of its own; label it as the draft.

    `labels` are the draft's that were changed.
    """
    wanted = draft.parameters.get("auto_export") or {}
    for other in exports_of(client, draft.id):
        if not is_awaiting(other):
            continue
        set_labels(client, other.id, labels)
        if not wanted.get("name"):
            name = f"export of {draft.name}"
            client.update_flow_run(other.id, parameters={**other.parameters, "name": name}, name=one_line(name))
        _show_draft(read_run(client, other.id), source, kind=JobKind.EXPORT)


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """Return the given parameters, validated and converted as by the flow. Raise UsageError if one is not valid."""
    if isinstance(given.get("query"), dict):
        given = {**given, "query": Query.of(given["query"]).to_json()}
    elif isinstance(given.get("query"), Query):
        given = {**given, "query": given["query"].to_json()}
    unknown = sorted(set(given) - set(collect.parameters.properties))
    if unknown:
        raise UsageError(f"A collection has no parameter {unknown[0]!r}. [{', '.join(unknown)}]")
    try:
        whole = collect.validate_parameters(given)
    except (ValueError, TypeError, ParameterTypeError) as error:
        raise UsageError(f"The draft's parameters are not valid: {error}") from error
    Custodians(patterns=whole.get("custodians") or ())
    return {name: given["query"] if name == "query" else whole[name] for name in given}


def _pinned(store: StoreParameter) -> Block | str:
    if isinstance(store, Block):
        store_of(store)
        return store
    require_storable(store, "store", InvalidLocation)
    return store_of(store).url


def _reference(store: Block | str) -> str | dict[str, Any]:
    reference: str | dict[str, Any] = collect.serialize_parameters({"store": store})["store"]
    return reference
