"""The flows by their names, as far as they are imported; `prefect_collect.flows` imports all of them.

A job's flow starts other flows (an export when its collection is done) whose modules import parts of the job flow.
Asking here, by name, keeps the imports one way.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from prefect import Flow

F = TypeVar("F", bound=Flow[Any, Any])

_FLOWS: Final[dict[str, Flow[Any, Any]]] = {}


def register(flow: F) -> F:
    """Enter a flow under its name, and return it; what was entered first under a name stays.

    A worker that loads a flow's file by its path has the same flow in two modules.
    """
    _FLOWS.setdefault(flow.name, flow)
    return flow


def flow_named(name: str) -> Flow[Any, Any]:
    """Return the flow of that name. Raise KeyError if there is none."""
    return _FLOWS[name]
