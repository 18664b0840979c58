"""Pin the parameters of a running job's flow run, so that they mean the same in every process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound

from prefect_collect.flows.block_references import saved
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.long_queries import discard, in_parameters
from prefect_collect.runs.session import Session
from prefect_collect.sources.query import Query


def given_parameters() -> dict[str, Any]:
    """Return the parameters that the flow was called with, by Prefect's UI, a schedule or a caller."""
    context = FlowRunContext.get()
    return {} if context is None else dict(context.parameters or {})


def block_id(run: FlowRun, parameter: str, block: Block) -> str:
    """Return the id of the block document that the job got as that parameter; a block without one is saved."""
    reference = run.parameters.get(parameter)
    named = reference.get("$ref") if isinstance(reference, dict) else None
    return str((named.get("block_document_id") if isinstance(named, dict) else named) or saved(block))


def pin_places(session: Session, **places: str) -> None:
    """Store the absolute locations of `places` in the run's parameters.

    A relative path, or the default store, would be another place in another process. Parameters that are blocks are
    kept, as they name the same place everywhere.
    """
    given = session.run.parameters
    changed: dict[str, Any] = {
        name: place
        for name, place in places.items()
        if not isinstance(given.get(name), dict) and given.get(name) != place
    }
    if changed:
        _update(session, changed)


def forget_report(session: Session) -> None:
    """Remove the report of a retry (`only`) from the run's parameters, as it is for one attempt.

    That is done when the attempt begins, and when the job ends without one. A job that is queued keeps it: another
    process continues it. Errors are suppressed: `jobs.start` and `jobs.retry` remove what is left.
    """
    if session.run.parameters.get("only") is not None:
        session.report = session.run.parameters["only"]
        with suppress(ObjectNotFound, httpx.HTTPError):
            _update(session, {"only": None})


def return_report(session: Session) -> None:
    """Put the report of a retry back, as another process is to continue its attempt. Errors are suppressed."""
    if session.report is not None:
        with suppress(ObjectNotFound, httpx.HTTPError):
            _update(session, {"only": session.report})


def _update(session: Session, changed: dict[str, Any]) -> None:
    parameters = {**session.run.parameters, **changed}
    with get_client(sync_client=True) as client:
        client.update_flow_run(session.run.id, parameters=parameters)
    session.run = session.run.model_copy(update={"parameters": parameters})


def pin_query(session: Session, folder: JobFolder, kept: Query) -> None:
    """Make the run's parameters name the job's own file of patterns, and remove the file it was created with."""
    if kept.patterns is None:
        return
    given, named = session.run.parameters, in_parameters(folder, kept).to_json()
    if given.get("query") != named:
        _update(session, {"query": named})
    discard(folder.store, given.get("query"))
