"""What collection and export flows share: how they are described to Prefect, taken up, and ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar, get_type_hints

from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.utilities.callables import get_call_parameters

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.errors import InvalidQuery
from prefect_collect.flows._ends import end_of, is_told, put_end, put_told
from prefect_collect.flows._owner import new_run, owning
from prefect_collect.flows._signed import places
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.engine import run_job
from prefect_collect.flows.exports_here import run_here
from prefect_collect.flows.forms import Signature
from prefect_collect.flows.long_parameters import travelling, unless_refused
from prefect_collect.flows.recover_attempts import result_now
from prefect_collect.flows.recover_jobs import job_crashed
from prefect_collect.flows.registry import register
from prefect_collect.runs.job_end import job_ended
from prefect_collect.runs.names import KIND_OF_FLOW
from prefect_collect.runs.refusals import prefect_errors
from prefect_collect.runs.running_sessions import held, let_go
from prefect_collect.runs.session import Session
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.storable import require_storable
from prefect_collect.stores.addresses import require_unsigned

SNAPSHOT_EVERY: Final = 5.0
"""Jobs that end within so many seconds share one snapshot."""

P = ParamSpec("P")
R = TypeVar("R")


class JobFlow(Flow[P, R]):
    """A flow whose blocks are kept in Prefect by reference, so that any process can run the job again.

    Prefect would store a block that a caller passes as its fields, with the secrets masked: such a run could not be
    retried. A block that is not saved is saved anonymously first; its secrets are then kept encrypted by Prefect.

    Its signature is the function's; what Prefect makes deployments of is a form for people (`Signature`).
    """

    __signature__ = Signature()

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the API stores them.

        Raises InvalidLocation for a place that contains a signature, UsageError for a text that Prefect cannot keep.
        """
        require_storable(parameters, "")
        for name, place in places(parameters):
            require_unsigned(place, name)
        blocks = {name: value for name, value in parameters.items() if isinstance(value, Block)}
        rest = {name: value for name, value in parameters.items() if name not in blocks}
        references = {name: {"$ref": {"block_document_id": str(saved(value))}} for name, value in blocks.items()}
        if rest.get("query") is not None and "store" in parameters:
            with suppress(InvalidQuery):  # the job itself says what is wrong with it
                rest["query"] = travelling(Query.of(rest["query"]), parameters["store"])
        return {**super().serialize_parameters(rest), **references}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job in this process, and then the exports that were waiting for it and have no worker.

        Raises PrefectUnavailable or PrefectError where Prefect's server does not answer or refuses it.
        """
        return_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        parameters = get_call_parameters(self.fn, args, kwargs)
        flow: Any = self
        with run_here(), unless_refused(), prefect_errors():
            # A run that is called from another one is made by Prefect, which notes whose it is.
            run = new_run(self, parameters) if FlowRunContext.get() is None else None
            return run_job(
                flow, run, parameters=parameters, wait_for=wait_for,
                return_type="state" if return_state else "result",
            )  # fmt: skip


def flow(*, flow_run_name: Callable[[], str], **options: Any) -> Callable[[Callable[P, R]], JobFlow[P, R]]:
    """The decorator of job flows. It is called `flow`, as Prefect looks for that name where it reads flows as text.

    The first line of the function's docstring describes the flow and its deployments.
    """

    def make(function: Callable[P, R]) -> JobFlow[P, R]:
        # Prefect hands a served flow, and what it calls, to another process by value, where names are not known.
        function.__annotations__ = get_type_hints(function, include_extras=True)
        hooks: dict[str, Any] = {"on_completion": [_ended], "on_failure": [_ended], "on_crashed": [_crashed]}
        description, _, _ = (function.__doc__ or "").partition("\n")
        # A persisted result would keep Prefect from running the job again.
        return register(
            JobFlow(
                function, description=description, persist_result=False, retries=0,
                flow_run_name=owning(flow_run_name), **hooks, **options,
            )
        )  # fmt: skip

    return make


def this_run() -> FlowRun:
    """The flow run that this is: the job."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise Abort("A job runs as a Prefect flow; call it as a flow.")
    return context.flow_run


def job_id() -> str:
    """The id of the flow run that this is: the job's id."""
    return str(this_run().id)


def _ended(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    session = held(flow_run.id)
    try:
        if state.is_failed() and not is_told(session, state):
            _tell_unforeseen(KIND_OF_FLOW[flow.name], flow_run, session, state)
    except Exception:
        if session is None:  # else the job is ended when its flow, or its process, is left: see `_engine`
            job_ended(flow_run.id, follow_up, show_places)
        raise
    job_ended(flow_run.id, follow_up, show_places)
    refresh_snapshot(SNAPSHOT_EVERY)


def _tell_unforeseen(kind: JobKind, run: FlowRun, session: Session | None, state: State[Any]) -> None:
    """Publish the end of a job that could not do so: Prefect could not call its flow, or an unexpected error came.

    Prefect's engine ends a flow as Failed too if the server refuses the state in which it ended.
    """
    with get_client(sync_client=True) as client:
        if put_told(client, run, kind, session):
            return
        message = state.message or ""
        stands = result_now(run, None if session is None else session.attempt, message)
        if stands is None:
            publish_status(kind, JobStatus.FAILED, run, message)
            return
        result, message = stands
        put_end(client, run.id, end_of(kind, result, message), session)
    publish_status(kind, result.status, run, message, result)


def _crashed(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Called where the process was lost: by the worker that started it, or in the process itself."""
    let_go(flow_run.id)
    with get_client(sync_client=True) as client:
        job_crashed(client, flow_run.id)
