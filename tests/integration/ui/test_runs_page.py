"""Prefect's Runs page is the status page: it shows every documented status by its name."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from prefect_collect.flows import collect, export
from prefect_collect.statuses import JobKind, job_statuses, to_prefect_state
from tests.integration.prefect_server import PrefectServer
from tests.integration.ui.browser import Browser

_FLOWS = {JobKind.COLLECTION: collect, JobKind.EXPORT: export}


@pytest.mark.integration
@pytest.mark.parametrize("kind", list(JobKind))
def test_the_runs_page_shows_every_documented_status(prefect: PrefectServer, browser: Browser, kind: JobKind) -> None:
    """The badge of each job reads as the documented status, for every row of the table of its kind."""
    wanted = {}
    with get_client(sync_client=True) as client:
        for status in job_statuses(kind):
            state = to_prefect_state(kind, status)
            name = f"{kind.value.lower()} {state.name.lower()}"
            run = client.create_flow_run(_FLOWS[kind], name=name, parameters={"source": None})
            client.set_flow_run_state(run.id, State(type=StateType(state.type), name=state.name), force=True)
            wanted[name] = state.name
    browser.open_runs(search=f"{kind.value.lower()} ")
    browser.wait_for_statuses(wanted)
    browser.screenshot(f"runs-{kind.value.lower()}s", height=1550)
