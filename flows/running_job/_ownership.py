"""Label a job's run with the process that owns it, before the run's state is Running.

A process may be killed between any two requests. As the first request sets the label, the next process that reads the
run sees that its owner is gone, and settles the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from http import HTTPStatus
from itertools import takewhile
from time import monotonic, sleep
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, State
from prefect.context import FlowRunContext, TagsContext
from prefect.exceptions import Abort
from prefect.states import Pending, to_state_create

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.job_folder.process_identity import is_alive, is_gone
from prefect_collect.runs.custodian_label import custodian_labels
from prefect_collect.runs.labels import (
    BEAT,
    LEASE,
    SOURCE,
    WORKER,
    export_tag,
    is_ours,
    label_of,
    labels_of,
    process_labels,
    process_of,
    set_labels,
)
from prefect_collect.runs.lease import LEASE_SECONDS, is_fresh
from prefect_collect.runs.names import TAG
from prefect_collect.runs.queries import history
from prefect_collect.runs.server_clock import server_now, set_clock
from prefect_collect.runs.session import TAKEN_OVER
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put
from prefect_collect.runs.turn import PLACE, in_infrastructure, leave_queue
from prefect_collect.statuses import JobKind, JobStatus

P = ParamSpec("P")
R = TypeVar("R")

_LOOK_EVERY: Final = 0.2
_made: Final[dict[UUID, bool]] = {}
"""The runs that this process has made, labeled as its own, and not yet begun; and whether they have their names."""
_flow_ids: Final[dict[tuple[str, str], UUID]] = {}
"""The ids of the flows, by server and name."""
_namings: Final[dict[object, Naming]] = {}
"""What `owning` was called with, by what it returned."""


Naming = Callable[[Mapping[str, Any]], str]
"""Gives a run's name from the flow's parameters."""


def owning(name: Naming) -> Callable[[], str]:
    """Return the function that gives a run's name: it first labels the run with this process as its owner.

    The engine calls it once in every process, after it has read the run and before it proposes Running (3.8:
    `FlowRunEngine.begin_run`); nothing else of a flow is called in between.
    """

    def named() -> str:
        context = FlowRunContext.get()
        parameters = {} if context is None else context.parameters or {}
        if context is not None and context.flow_run is not None:
            _own_once(context.flow_run, _job_labels(parameters))
        return name(parameters)

    _namings[named] = name
    return named


def new_run(flow: Flow[..., Any], parameters: dict[str, Any]) -> FlowRun:
    """Create a run of the flow that this process owns from the start.

    Prefect's engine would create one without labels (3.8: `FlowRunEngine.create_flow_run`).
    """
    name = _name(flow, parameters)
    with get_client(sync_client=True) as client:
        set_clock(client)
        wanted = FlowRunCreate(
            name=name,
            flow_id=_flow_id(client, flow),
            flow_version=flow.version,
            parameters=flow.serialize_parameters(parameters),
            tags=sorted({*TagsContext.get().current_tags, *_job_tags(parameters)}),
            state=to_state_create(Pending()),
            empirical_policy=FlowRunPolicy(retries=0, retry_delay=0),
            labels=labels_of(_owner_labels(_job_labels(parameters), worker="")),
        )
        try:
            answer = _created(client, wanted)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.CONFLICT:
                raise
            _flow_ids.clear()  # the flow was deleted in Prefect
            answer = _created(client, wanted.model_copy(update={"flow_id": _flow_id(client, flow)}))
        run = FlowRun.model_validate(answer.json())
    _made[run.id] = name is not None
    return run


def _created(client: SyncPrefectClient, wanted: FlowRunCreate) -> httpx.Response:
    return client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))


def _flow_id(client: SyncPrefectClient, flow: Flow[..., Any]) -> UUID:
    """Return the flow's id in Prefect, which this process asks for once."""
    known = str(client.api_url), flow.name
    if known not in _flow_ids:
        _flow_ids[known] = client.create_flow(flow)
    return _flow_ids[known]


def _name(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> str | None:
    """Return the run's name; None if the parameters are not yet what the flow gets, or the user names runs himself."""
    naming = _namings.get(flow.flow_run_name)
    is_ready = isinstance(parameters.get("source"), DataSource | None)
    return naming(parameters) if naming is not None and is_ready else None


def for_engine(flow: Flow[P, R], run: FlowRun | None) -> Flow[P, R]:
    """Return the flow for Prefect's engine: for a run that `new_run` has named, one that does not name it again."""
    if run is None or not _made.get(run.id):
        return flow
    del _made[run.id]
    named = copy(flow)
    named.flow_run_name = None
    return named


def _job_tags(parameters: Mapping[str, Any]) -> set[str]:
    """Return the tags that a job gets in any case, as far as its parameters tell."""
    source, collection = parameters.get("source"), parameters.get("collection_job")
    tags = {TAG}
    if isinstance(source, DataSource):
        tags.add(SourceQueue(JobKind.COLLECTION, source.name).name)
    with suppress(ValueError):
        tags |= {export_tag(UUID(str(collection)))} if collection is not None else set()
    return tags


def _job_labels(parameters: dict[str, Any]) -> dict[str, str]:
    """Return what the labels say of the job that a flow is called with: its data source, and its custodian."""
    source = parameters.get("source")
    if not isinstance(source, DataSource):
        return custodian_labels(parameters.get("custodian"))
    return {SOURCE: source.name, **custodian_labels(parameters.get("custodian") or source.custodian)}


def _own_once(run: FlowRun, named: dict[str, str]) -> None:
    """Label the run as this process's, unless it was made so."""
    if run.id in _made:
        del _made[run.id]
        return
    with get_client(sync_client=True) as client:
        _own(client, run, named)


def _own(client: SyncPrefectClient, run: FlowRun, named: dict[str, str]) -> None:
    """Label the run with this process as its owner. Raise Abort if another process owns it."""
    run = client.read_flow_run(run.id)
    require_free(client, run)
    set_clock(client)
    set_labels(client, run.id, _owner_labels(named, worker="yes" if in_infrastructure(run.id) else ""))


def _owner_labels(named: dict[str, str], *, worker: str) -> dict[str, str]:
    return {**process_labels(), **named, WORKER: worker, BEAT: server_now().isoformat()}


def require_free(client: SyncPrefectClient, run: FlowRun) -> None:
    """Raise Abort if another process owns the run; give back the slot of an owner that is lost.

    If the job was started again right after its end, wait until its last process has given its slot back.
    """
    until = monotonic() + LEASE_SECONDS
    while _may_hand_on(run) and monotonic() < until and _has_ended(client, run):
        sleep(_LOOK_EVERY)
        run = client.read_flow_run(run.id)
    if not label_of(run, LEASE):
        return
    other = process_of(run.labels)
    ours = is_alive(other) and other.get("pid") == os.getpid()
    if not ours and not is_gone(other) and (is_alive(other) or is_fresh(run)):
        raise Abort(f"Another process works on this job: {other.get('pid')} on {other.get('host')}.")
    leave_queue(client, run, keep=PLACE)


def _may_hand_on(run: FlowRun) -> bool:
    """Return whether the run has a slot, and an owner that may still give it back."""
    return bool(label_of(run, LEASE)) and is_fresh(run) and not is_gone(process_of(run.labels))


def _has_ended(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the job has ended since it was last In progress."""
    since = takewhile(lambda state: state.name != str(JobStatus.IN_PROGRESS), reversed(history(client, run.id)))
    return any(state.is_final() for state in since)


def this_run() -> FlowRun:
    """Return the flow run that this code runs in, which is the job. Raise Abort outside a flow."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise Abort("A job runs as a Prefect flow; call it as a flow.")
    return context.flow_run


def require_wanted(client: SyncPrefectClient, run: FlowRun, states: list[State[Any]]) -> None:
    """Raise Abort, and put the run back, if it was canceled or settled while this process started.

    Prefect lets such a run start (3.8: `HandleFlowTerminalStateTransitions` allows an ended run to be Running).
    """
    running = len(states) > 1 and states[-1].is_running()
    if running and states[-2].is_cancelled():
        put(client, run.id, states[-2])
        raise Abort("The job was canceled before its process had started.")
    if not is_ours(run):
        if running and states[-2].is_final():
            put(client, run.id, states[-2])
        raise Abort(TAKEN_OVER.message)
