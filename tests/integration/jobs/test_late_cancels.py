"""A cancel that comes when the work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext

from prefect_collect import FileSource, collect, jobs
from prefect_collect.flows import collection
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_a_cancel_while_the_attempt_closes(
    prefect: PrefectServer, root: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job has its true status, although Prefect allows a run that is being canceled to end only as Cancelled."""
    run_attempt = collection.run_attempt  # type: ignore[attr-defined]  # imported there

    def then_canceled(*args: Any, **kwargs: Any) -> Any:
        result = run_attempt(*args, **kwargs)
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        with get_client(sync_client=True) as client:
            state: State[Any] = State(type=StateType.CANCELLING, name="Cancelling")
            client.set_flow_run_state(context.flow_run.id, state, force=True)
        return result

    monkeypatch.setattr(collection, "run_attempt", then_canceled)
    state = collect(source=FileSource(root=root, name="late-cancel"), store=store, return_state=True)
    job = jobs.get(str(state.state_details.flow_run_id))
    assert (job.status, state.name) == (JobStatus.SUCCESSFULLY_COMPLETED, "Successfully completed")
    with get_client(sync_client=True) as client:
        assert SourceQueue(JobKind.COLLECTION, "late-cancel").read(client).free == 1
