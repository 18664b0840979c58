"""The registry of the flows by their names.

A job's flow starts other flows (an export when its collection is done), whose modules import parts of the job flow.
Finding them here by name avoids circular imports; the module of a flow is imported when the flow is first looked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, TypeVar

from prefect import Flow

from prefect_collect.runs.names import COLLECTION_FLOW, EXPORT_FLOW, RECOVERY_FLOW

F = TypeVar("F", bound=Flow[Any, Any])

_FLOWS: Final[dict[str, Flow[Any, Any]]] = {}

_HOMES: Final = {COLLECTION_FLOW: "collection", EXPORT_FLOW: "exports", RECOVERY_FLOW: "recovery"}


def register(flow: F) -> F:
    """Register a flow under its name, and return it; the first one of a name is kept.

    In a worker that loads a flow's file by its path, the same flow exists in two modules.
    """
    _FLOWS.setdefault(flow.name, flow)
    return flow


def flow_named(name: str) -> Flow[Any, Any]:
    """Return the flow of that name. Raise KeyError if there is none."""
    if name not in _FLOWS and name in _HOMES:
        import_module(f"prefect_collect.flows.{_HOMES[name]}")  # it registers itself
    return _FLOWS[name]
