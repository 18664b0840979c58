"""Publishing a status sends an event and updates the job's page, from any process."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

from prefect_collect.artifacts.publish import publish_status
from prefect_collect.runs.labels import SOURCE, set_labels
from prefect_collect.runs.names import COLLECTION_FLOW
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from tests.integration.artifacts.test_live_page import ended, versions
from tests.integration.prefect_server import PrefectServer
from tests.integration.runs.test_events import events_of

pytestmark = pytest.mark.integration


def new_run() -> FlowRun:
    """Create the flow run of a collection job of the source "docs"."""

    @flow(name=COLLECTION_FLOW)
    def job() -> None:
        """Never run."""

    with get_client(sync_client=True) as client:
        state: State[object] = State(type=StateType.SCHEDULED, name="Queued")
        run = client.create_flow_run(job, state=state, name="of docs")
        set_labels(client, run.id, {SOURCE: "docs"})
        return client.read_flow_run(run.id)


def test_a_queued_job_that_is_canceled_says_so_on_its_page(prefect_server: PrefectServer) -> None:
    """A status that a process outside any run publishes replaces Queued on the page."""
    with prefect_server.used():
        run = new_run()
        publish_status(JobKind.COLLECTION, JobStatus.QUEUED, run)
        [queued] = versions(f"job-{run.id}")
        assert queued.description == "of docs: Queued"
        publish_status(JobKind.COLLECTION, JobStatus.CANCELED, run, "Canceled by ada before it was started.")
        [canceled] = versions(f"job-{run.id}")
    assert canceled.id == queued.id
    assert canceled.data.startswith("# of docs: Canceled\n")
    assert "Canceled by ada" in canceled.data
    assert f"`prefect-collect start {run.id}`" in canceled.data
    told = events_of(prefect_server, str(run.id), 2)
    assert [event["event"].rpartition(".")[2] for event in told] == ["queued", "canceled"]


def test_a_result_is_shown_once(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A result that recovery publishes is shown; publishing it again, as at the job's own end, changes nothing."""
    with prefect_server.used():
        run = new_run()
        result = ended(str(run.id), tmp_path)
        publish_status(JobKind.COLLECTION, result.status, run, result.message, result)
        publish_status(JobKind.COLLECTION, result.status, run, result.message, result)
        [page] = versions(f"job-{run.id}")
        assert page.description == "of docs: Successfully completed"
        publish_status(JobKind.COLLECTION, JobStatus.CANCELED, run, "Canceled.", result)
        assert [version.description for version in versions(f"job-{run.id}")] == [
            "of docs: Canceled",
            "of docs: Successfully completed",
        ]


def test_a_skipped_job_s_page_says_why(prefect_server: PrefectServer) -> None:
    """A skipped job's status is Canceled, with the reason as message."""
    with prefect_server.used():
        run = new_run()
        publish_status(JobKind.COLLECTION, TaskStatus.SKIPPED, run, "The data source is SUSPENDED.")
        [page] = versions(f"job-{run.id}")
    assert page.data.startswith("# of docs: Canceled\n")
    assert "The data source is SUSPENDED." in page.data
