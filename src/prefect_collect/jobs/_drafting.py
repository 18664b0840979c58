"""Drafts: collections that are saved, and not started before somebody says so."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse

from prefect_collect import custody
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import ActionNotAllowed, UsageError
from prefect_collect.flows import collect
from prefect_collect.flows._follow_up import AutoExport, ensure_export, exports_of, is_awaiting
from prefect_collect.flows._stores import store_of
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._mapping import mapped
from prefect_collect.jobs._reading import get, read_run
from prefect_collect.query import Query
from prefect_collect.runs._after import forget
from prefect_collect.runs._deployed import deployments
from prefect_collect.runs._notes import EXPORT_MADE, SOURCE, note
from prefect_collect.runs._states import state_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.tasks.telling import tell

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

    `options` are the remaining parameters of the flow `collect`. With `auto_export`, its export is made too, and awaits
    the collection. Raises UsageError, InvalidQuery, InvalidLocation if a parameter cannot be used.
    """
    given = {"source": source, "query": query, "name": name, "auto_export": auto_export, **options}
    # The deployment's form has no None: what is not asked for is left out.
    parameters = _checked({field: value for field, value in given.items() if value is not None})
    parameters["store"] = _pinned(store)
    title = name or source.name
    state = state_of(JobKind.COLLECTION, JobStatus.DRAFTED, "Saved, and not started yet.")
    with get_client(sync_client=True) as client:
        deployment = _deployment(client)
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters=collect.serialize_parameters(parameters), state=state, name=title,
            tags=deployment.tags,
        )  # fmt: skip
        note(client, run.id, {SOURCE: source.name})
        if parameters.get("auto_export") is not None:
            ensure_export(client, run, parameters["auto_export"], _reference(parameters["store"]), source.name)
        run = client.read_flow_run(run.id)
    job = get(run.id)
    custody.append(job.folder, "drafted", {"name": title, "source": source.location()})
    tell(JobKind.COLLECTION, JobStatus.DRAFTED, run)
    return job


@mapped
def edit_draft(job_id: str | UUID, **changes: Any) -> Job:
    """Change parameters of a draft: those of `draft_collection`, by name. Raises ActionNotAllowed, UsageError."""
    job = get(job_id)
    if job.status is not JobStatus.DRAFTED:
        raise ActionNotAllowed(f"Only a draft can be edited; this job is {job.status}. [job={job.id}]")
    if "store" in changes:
        raise UsageError("store of a draft cannot be changed, as its custody log is there; delete it, and draft anew.")
    checked = _checked({"source": job.parameters["source"], **changes})
    if "source" not in changes:
        del checked["source"]
    parameters = {**job.parameters, **collect.serialize_parameters(checked)}
    with get_client(sync_client=True) as client:
        run_id = UUID(job.id)
        client.update_flow_run(run_id, parameters=parameters, name=changes.get("name"))
        if "source" in checked:
            note(client, run_id, {SOURCE: checked["source"].name})
        if "auto_export" in checked:
            note(client, run_id, {EXPORT_MADE: ""})
            run = read_run(client, run_id)
            for other in exports_of(client, run_id):
                if is_awaiting(other):
                    forget(client, other.id)
            if checked["auto_export"] is not None:
                ensure_export(client, run, checked["auto_export"], parameters["store"], job.source)
    custody.append(job.folder, "edited", {"parameters": sorted(changes)})
    return get(job_id)


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that were given, as the flow takes them."""
    if isinstance(given.get("query"), dict):
        given = {**given, "query": Query.of(given["query"]).to_json()}
    elif isinstance(given.get("query"), Query):
        given = {**given, "query": given["query"].to_json()}
    unknown = sorted(set(given) - set(collect.parameters.properties))
    if unknown:
        raise UsageError(f"A collection has no parameter {unknown[0]!r}. [{', '.join(unknown)}]")
    try:
        whole = collect.validate_parameters(given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"The draft's parameters cannot be used: {error}") from error
    return {name: given["query"] if name == "query" else whole[name] for name in given}


def _pinned(store: StoreParameter) -> Block | str:
    if isinstance(store, Block):
        store_of(store)
        return store
    return store_of(store).url


def _reference(store: Block | str) -> str | dict[str, Any]:
    reference: str | dict[str, Any] = collect.serialize_parameters({"store": store})["store"]
    return reference


def _deployment(client: SyncPrefectClient) -> DeploymentResponse:
    """The deployment that drafts belong to, as Prefect resumes no run without one; it is made if there is none."""
    found = deployments(client, JobKind.COLLECTION)
    if not found:
        from prefect_collect.flows._deploying import ensure_deployments

        ensure_deployments()
        found = deployments(client, JobKind.COLLECTION)
    return found[0]
