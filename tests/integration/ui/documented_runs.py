"""Runs in every documented status, for the Runs page; they hold no items, as their states are set."""

from __future__ import annotations

from typing import Any, Final

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from prefect_collect.flows import collect, export
from prefect_collect.statuses import JobKind, job_statuses, to_prefect_state
from tests.integration.ui.browser import Browser

_FLOWS: Final[dict[JobKind, Flow[..., Any]]] = {JobKind.COLLECTION: collect, JobKind.EXPORT: export}


def open_documented_runs(browser: Browser, kind: JobKind) -> None:
    """Create a run in each documented status of a kind of job, and open the Runs page on them; wait for the badges."""
    wanted = {}
    with get_client(sync_client=True) as client:
        for status in job_statuses(kind):
            state = to_prefect_state(kind, status)
            name = f"{kind.value.lower()}, {state.name.lower()}"
            run = client.create_flow_run(_FLOWS[kind], name=name, parameters={"source": None})
            client.set_flow_run_state(run.id, State(type=StateType(state.type), name=state.name), force=True)
            wanted[name] = state.name
    browser.open_runs(search=f"{kind.value.lower()},")
    browser.wait_for_statuses(wanted)
