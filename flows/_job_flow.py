"""What collection and export flows share: how they are described to Prefect, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.logging import get_run_logger

from prefect_collect.errors import AttemptSuperseded, CollectError, JobFailed
from prefect_collect.processes import this_process
from prefect_collect.results import TaskResult
from prefect_collect.statuses import JobKind, JobStatus, to_prefect_state

P = ParamSpec("P")
R = TypeVar("R")
_LABEL = "prefect-collect.process."
_REVEALED = {"include_secrets": True}


class JobFlow(Flow[P, R]):
    """A flow whose blocks are kept in Prefect by reference, so that any process can run the job again.

    Prefect would store a block that a caller passes as its fields, with the secrets masked: nobody could retry such a
    run. A block that is not saved is saved anonymously first; its secrets are then kept encrypted by Prefect.
    """

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the API stores them."""
        blocks = {name: value for name, value in parameters.items() if isinstance(value, Block)}
        rest = {name: value for name, value in parameters.items() if name not in blocks}
        references = {name: {"$ref": {"block_document_id": str(saved(value))}} for name, value in blocks.items()}
        return {**super().serialize_parameters(rest), **references}


def flow(**options: Any) -> Callable[[Callable[P, R]], JobFlow[P, R]]:
    """The decorator of job flows. It is called `flow`, as Prefect looks for that name where it reads flows as text."""

    def make(function: Callable[P, R]) -> JobFlow[P, R]:
        # Prefect hands a served flow, and what it calls, to another process by value, where names are not known.
        function.__annotations__ = get_type_hints(function, include_extras=True)
        # A persisted result would keep Prefect from running the job again.
        return JobFlow(function, persist_result=False, retries=0, **options)

    return make


def saved(block: Block) -> UUID:
    """The id of a document in Prefect that holds the block as it is; it is saved anonymously if there is none."""
    if block._block_document_id is None or not _is_as_stored(block):
        block = block.model_copy()
        block._block_document_id = block._block_document_name = None
        block._save_sync(is_anonymous=True)
    assert block._block_document_id is not None
    return block._block_document_id


def _is_as_stored(block: Block) -> bool:
    """Whether the block's document still holds what the block does; a block may be changed after it was loaded."""
    load: Any = type(block).load_from_ref
    try:
        stored: Block = load(block._block_document_id)
    except ValueError:
        return False
    return stored.model_dump(context=_REVEALED) == block.model_dump(context=_REVEALED)


def job_id() -> str:
    """The id of the flow run that this is: the job's id."""
    return str(_run().id)


def _run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise JobFailed("A job runs as a Prefect flow; call it as a flow.")
    return context.flow_run


def begin(**places: str) -> None:
    """Note in Prefect which process runs the job, and the whole location of its places, before it does anything.

    A relative path, or the default store, would mean another place to another process. `places` are parameters; those
    that are blocks already name one place to everybody, and are left alone.
    """
    run = _run()
    given = run.parameters
    changed = {
        name: place
        for name, place in places.items()
        if not isinstance(given.get(name), dict) and given.get(name) != place
    }
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(run.id, process_labels())
        if changed:
            client.update_flow_run(run.id, parameters={**given, **changed})


def process_labels() -> dict[str, bool | int | float | str]:
    """This process, as labels of a flow run; `labelled_process` reads them."""
    return {f"{_LABEL}{name}": value for name, value in this_process().items() if value is not None}


def labelled_process(labels: dict[str, Any]) -> dict[str, Any]:
    """The process that a flow run's labels name; empty if none does."""
    return {name.removeprefix(_LABEL): value for name, value in labels.items() if name.startswith(_LABEL)}


def set_status(kind: JobKind, status: JobStatus, message: str = "") -> None:
    """Give the running job's state its documented name."""
    wanted = to_prefect_state(kind, status)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(job_id()), State(type=StateType(wanted.type), name=wanted.name, message=message))


def ended(kind: JobKind, result: TaskResult) -> State[Any]:
    """The final state of a job, named as documented; a failed one raises JobFailed when its result is asked for."""
    wanted = to_prefect_state(kind, result.status)
    data: Any = JobFailed(result.message, result=result) if result.status is JobStatus.FAILED else result
    return State(type=StateType(wanted.type), name=wanted.name, message=result.message, data=data)


def superseded(error: AttemptSuperseded) -> Abort:
    """What ends a process that another one has taken the job from: the run's state is the other one's to set."""
    get_run_logger().error("%s", error)
    return Abort(str(error))


def refused(kind: JobKind, error: CollectError) -> State[Any]:
    """The final state of a job that could not be run at all."""
    wanted = to_prefect_state(kind, JobStatus.FAILED)
    return State(type=StateType(wanted.type), name=wanted.name, message=str(error), data=error)
