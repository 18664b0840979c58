"""The base of the collection and export flows: how they are described to Prefect, started, and ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from tempfile import gettempdir
from types import NoneType
from typing import Any, Final, ParamSpec, TypeVar, get_type_hints
from uuid import UUID

from prefect import Flow
from prefect.blocks.core import Block
from prefect.context import FlowRunContext
from prefect.utilities.callables import get_call_parameters

from prefect_collect.errors import InvalidQuery
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.exports_here import run_here
from prefect_collect.flows.forms import Signature
from prefect_collect.flows.long_parameters import travelling, unless_refused
from prefect_collect.flows.registry import register
from prefect_collect.flows.running_job import Naming, new_run, on_crash, on_end, owning, run_job
from prefect_collect.flows.signed_places import places
from prefect_collect.runs.heartbeat import OwnHeartbeat
from prefect_collect.runs.refusals import prefect_errors
from prefect_collect.sources.query import Query
from prefect_collect.storable import require_storable
from prefect_collect.stores.addresses import require_unsigned

P = ParamSpec("P")
_NO_RESULTS: Final[Any] = Path(gettempdir())
"""Where Prefect would store the results of jobs, which are not stored."""
R = TypeVar("R")


class JobFlow(Flow[P, R]):
    """A flow that stores its blocks in Prefect by reference, so that any process can run the job again.

    Prefect would store the fields of a block that a caller passes, with its secrets masked: such a run could not be
    retried. Therefore a block that is not saved is saved anonymously first; Prefect encrypts its secrets.

    Its signature is the function's; for deployments, Prefect makes a form from another one (`Signature`).
    """

    __signature__ = Signature()

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as Prefect's API stores them.

        Raise InvalidLocation for a presigned URL, UsageError for a text that Prefect cannot store.
        """
        require_storable(parameters, "")
        for name, place in places(parameters):
            require_unsigned(place, name)
        blocks = {name: value for name, value in parameters.items() if isinstance(value, Block)}
        rest = {name: _as_text(value) for name, value in parameters.items() if name not in blocks}
        references = {name: {"$ref": {"block_document_id": str(saved(value))}} for name, value in blocks.items()}
        if rest.get("query") is not None and "store" in parameters:
            with suppress(InvalidQuery):  # the job itself reports what is wrong with it
                rest["query"] = travelling(Query.of(rest["query"]), parameters["store"])
        plain = {name: value for name, value in rest.items() if _is_json(value)}
        # For these, Prefect imports FastAPI.
        others = {name: value for name, value in rest.items() if name not in plain}
        return {**plain, **(super().serialize_parameters(others) if others else {}), **references}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the job in this process, then the exports that waited for it and have no worker.

        Raise PrefectUnavailable if Prefect's server does not answer, PrefectError if it refuses a request.
        """
        return_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        parameters = get_call_parameters(self.fn, args, kwargs)
        flow: Any = self
        with run_here(), unless_refused(), prefect_errors():
            # For a call from another flow, Prefect creates the run, and records its parent.
            run = partial(new_run, self, parameters) if FlowRunContext.get() is None else None
            return run_job(
                flow, run, parameters=parameters, wait_for=wait_for,
                return_type="state" if return_state else "result",
            )  # fmt: skip


def _as_text(value: Any) -> Any:
    """Return a place or an id as text, and every other value as it is."""
    return str(value) if isinstance(value, PurePath | UUID) else value


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(name) is str and _is_json(one) for name, one in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return type(value) in (str, int, float, bool, NoneType)


def flow(*, flow_run_name: Naming, **options: Any) -> Callable[[Callable[P, R]], JobFlow[P, R]]:
    """Return the decorator that makes a job flow. The first line of the docstring describes the flow in Prefect.

    It is called `flow`, as Prefect looks for that name where it reads the source of a flow.
    """

    def make(function: Callable[P, R]) -> JobFlow[P, R]:
        # Prefect pickles a served flow by value; in the other process the names in annotations are not known.
        function.__annotations__ = get_type_hints(function, include_extras=True)
        runner: Any = OwnHeartbeat()
        hooks: dict[str, Any] = {"on_completion": [on_end], "on_failure": [on_end], "on_crashed": [on_crash]}
        description, _, _ = (function.__doc__ or "").partition("\n")
        # A persisted result would keep Prefect from running the job again. Prefect asks its server for the place of
        # results, twice for each run, unless it is named.
        return register(
            JobFlow(
                function, description=description, persist_result=False, result_storage=_NO_RESULTS, retries=0,
                flow_run_name=owning(flow_run_name), task_runner=runner, **hooks, **options,
            )
        )  # fmt: skip

    return make
