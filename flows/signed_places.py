"""Remove the signatures of presigned URLs from the parameters of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.stores.addresses import is_signed, shown

_PLACES: Final = ("store", "destination", "only")
_EXPORT: Final = "auto_export"


def places(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each parameter that is a location as text."""
    for name in _PLACES:
        if isinstance(value := parameters.get(name), str):
            yield name, value
    export = parameters.get(_EXPORT)
    goal = export.get("destination") if isinstance(export, dict) else getattr(export, "destination", None)
    if isinstance(goal, str):
        yield f"{_EXPORT}.destination", goal


def forget_signatures(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Remove the signatures from the parameters of a run that was created in Prefect's UI or by its API.

    Return whether there were any. The job's process still gets the signed locations, and refuses them.
    """
    signed = {name for name, place in places(run.parameters) if is_signed(place)}
    if not signed:
        return False
    changed: dict[str, Any] = {name: shown(run.parameters[name]) for name in _PLACES if name in signed}
    if len(changed) < len(signed):
        export = run.parameters[_EXPORT]
        changed[_EXPORT] = {**export, "destination": shown(export["destination"])}
    client.update_flow_run(run.id, parameters={**run.parameters, **changed})
    return True
