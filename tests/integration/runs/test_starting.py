"""Starting a run that another process still runs, or has just ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort

from prefect_collect.flows.running_job._ownership import require_free
from prefect_collect.runs.labels import BEAT, LEASE, SOURCE, set_labels
from prefect_collect.runs.names import COLLECTION_FLOW
from prefect_collect.runs.server_clock import server_now
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put, state_of
from prefect_collect.runs.turn import leave_queue
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import deleted_afterwards

pytestmark = pytest.mark.integration

KIND = JobKind.COLLECTION


@flow(name=COLLECTION_FLOW)
def job() -> None:
    """Never run."""


def in_progress_elsewhere(client: SyncPrefectClient, queue: SourceQueue) -> FlowRun:
    """Return a run that is In progress in a process of another host, with signs of life."""
    run = client.create_flow_run(job, state=state_of(KIND, JobStatus.QUEUED), tags=[queue.name])
    queue.read(client)
    lease = queue.take(client, run.id)
    assert lease is not None
    beat = {BEAT: server_now().isoformat(), "process.host": "another", "process.pid": "1"}
    set_labels(client, run.id, {SOURCE: queue.source, LEASE: lease, **beat})
    put(client, run.id, state_of(KIND, JobStatus.IN_PROGRESS))
    return client.read_flow_run(run.id)


def running(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    """Return the run as a new process finds it, in the state that Prefect sets before it calls the flow."""
    state: State[Any] = State(type=StateType.RUNNING, name="Running")
    put(client, run.id, state)
    return client.read_flow_run(run.id)


def test_a_job_that_another_process_works_on_is_left_to_it(prefect_server: PrefectServer) -> None:
    """A second process that starts the run stops at once."""
    queue = SourceQueue(KIND, f"source {uuid4()}")
    with prefect_server.used(), deleted_afterwards(queue.name) as client:
        run = in_progress_elsewhere(client, queue)
        with pytest.raises(Abort, match="Another process works on this job"):
            require_free(client, running(client, run))


def test_a_job_that_is_started_again_at_once_waits_for_its_slot(prefect_server: PrefectServer) -> None:
    """After a Retry right at the job's end, the new process waits until the last one has given its slot back."""
    queue = SourceQueue(KIND, f"source {uuid4()}")
    with prefect_server.used(), deleted_afterwards(queue.name) as client, ThreadPoolExecutor(1) as pool:
        run = in_progress_elsewhere(client, queue)
        put(client, run.id, state_of(KIND, JobStatus.PARTIALLY_COMPLETED))
        put(client, run.id, state_of(KIND, JobStatus.QUEUED))
        newcomer = pool.submit(require_free, client, running(client, run))
        with pytest.raises(TimeoutError):
            newcomer.result(1)
        assert queue.read(client).free == 0
        leave_queue(client, client.read_flow_run(run.id))
        newcomer.result(120)
        assert queue.read(client).free == 1
