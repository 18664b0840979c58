"""The runs of jobs, read by requests of this package, are those that Prefect's own client reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Running, Scheduled

from prefect_collect.runs.job_runs import JobRun, JobRuns, asking_prefect
from prefect_collect.runs.names import COLLECTION_FLOW, EXPORT_FLOW, KIND_OF_FLOW
from prefect_collect.runs.plain_server import connected
from prefect_collect.runs.prefect_settings import ConfiguredServer
from prefect_collect.runs.queries import job_flows
from prefect_collect.statuses import JobKind
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import deleted_afterwards

pytestmark = pytest.mark.integration

TAG = "made by test_job_runs"


@pytest.fixture(params=["without Prefect", "by Prefect's client"])
def runs(request: pytest.FixtureRequest, prefect_server: PrefectServer) -> Iterator[tuple[JobRuns, SyncPrefectClient]]:
    """The runs of the session's server, and Prefect's client; the runs that a test makes are deleted afterwards."""
    with prefect_server.used(), deleted_afterwards(TAG) as client:
        if request.param != "without Prefect":
            yield JobRuns(asking_prefect(client)), client
            return
        with connected(ConfiguredServer(prefect_server.url)) as server:
            yield JobRuns(server.ask), client


def _made(client: SyncPrefectClient, name: str, state: State) -> FlowRun:
    parameters = {"store": "/s", "query": None}
    made = client.create_flow_run(flow(name=name)(_job), parameters=parameters, state=state, tags=[TAG])
    client.update_flow_run_labels(made.id, {"prefect-collect.source": "mail", "n": 1})
    return client.read_flow_run(made.id)


def _job(store: str, query: str | None) -> None:
    """Do nothing; no run of it is started."""


def _as_read(run: FlowRun) -> JobRun:
    assert run.state is not None
    return JobRun(
        run.id, run.flow_id, run.name, run.created, run.state.type.value, run.state.name, run.state.message or "",
        run.parameters, run.labels, run.deployment_id is not None,
    )  # fmt: skip


def test_runs(runs: tuple[JobRuns, SyncPrefectClient]) -> None:
    """One run, some by their ids, and the newest without planned ones, with the kinds of their flows."""
    read, client = runs
    collection = _made(client, COLLECTION_FLOW, Running(message="at work"))
    export = _made(client, EXPORT_FLOW, Completed(name="Partially completed"))
    due = datetime.now(UTC) + timedelta(days=1)
    planned, queued = (_made(client, EXPORT_FLOW, Scheduled(scheduled_time=due, name=n)) for n in (None, "Queued"))
    assert [read.run(one.id) for one in (collection, export)] == [_as_read(one) for one in (collection, export)]
    assert read.run(uuid4()) is None
    known = read.run(export.id)
    assert known is not None
    assert read.kind_of(known.flow_id) is JobKind.EXPORT
    assert read.flow_name(collection.flow_id) == COLLECTION_FLOW
    assert read.flow_name(uuid4()) == ""
    asked = [str(collection.id), str(export.id).upper(), str(uuid4()), "no id"]
    assert read.of_ids(asked) == {asked[0]: _as_read(collection), asked[1]: _as_read(export)}
    assert read.kinds() == {one.id: KIND_OF_FLOW[one.name] for one in client.read_flows(flow_filter=job_flows())}
    mine = (collection.id, export.id, planned.id, queued.id)
    assert [run.id for run in read.newest(None) if run.id in mine] == [queued.id, export.id, collection.id]
    assert [run.id for run in read.newest(JobKind.COLLECTION) if run.id in mine] == [collection.id]


def test_an_artifact(runs: tuple[JobRuns, SyncPrefectClient]) -> None:
    """The data of the newest artifact of a key; None if there is none."""
    read, client = runs
    key = f"key-{uuid4()}"
    assert read.artifact(key) is None
    for data in ("old", "new"):
        client.create_artifact(ArtifactCreate(key=key, type="markdown", data=data))
    assert read.artifact(key) == "new"


def test_a_run_of_another_flow(runs: tuple[JobRuns, SyncPrefectClient]) -> None:
    """A run of another flow is of no kind."""
    read, client = runs
    run = read.run(UUID(str(_made(client, f"other-{uuid4()}", Running()).id)))
    assert run is not None
    assert read.kind_of(run.flow_id) is None
