"""The registry of the imported flows by their names; `prefect_collect.flows` imports all of them.

A job's flow starts other flows (an export when its collection is done), whose modules import parts of the job flow.
Finding them here by name avoids circular imports.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from prefect import Flow

F = TypeVar("F", bound=Flow[Any, Any])

_FLOWS: Final[dict[str, Flow[Any, Any]]] = {}


def register(flow: F) -> F:
    """Register a flow under its name, and return it; the first one of a name is kept.

    In a worker that loads a flow's file by its path, the same flow exists in two modules.
    """
    _FLOWS.setdefault(flow.name, flow)
    return flow


def flow_named(name: str) -> Flow[Any, Any]:
    """Return the flow of that name. Raise KeyError if there is none."""
    return _FLOWS[name]
