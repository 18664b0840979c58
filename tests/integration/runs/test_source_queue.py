"""The state of a queue: the waiting jobs, the slots, and the effects of cancels and lost processes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateDetails, StateType

from prefect_collect.flows.lost_runs import LOST_AFTER, may_be_left
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.runs import turn
from prefect_collect.runs.labels import BEAT, CANCELED_BY, LEASE, QUEUED, SOURCE, set_labels
from prefect_collect.runs.names import COLLECTION_FLOW
from prefect_collect.runs.server_clock import server_now
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put, put_unless_canceled, state_of
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import gone_process
from tests.integration.prefect_server import PrefectServer
from tests.integration.shared_server import deleted_afterwards

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("used")]

KIND = JobKind.COLLECTION


@flow(name=COLLECTION_FLOW)
def job() -> None:
    """Never run."""


@pytest.fixture
def used(prefect_server: PrefectServer) -> Any:
    """The server, used by this process."""
    with prefect_server.used():
        yield


@pytest.fixture
def queue() -> SourceQueue:
    """A queue that no other test uses."""
    return SourceQueue(KIND, f"source {uuid4()}")


@pytest.fixture
def client(queue: SourceQueue) -> Iterator[SyncPrefectClient]:
    """Asks the server; the runs in the queue are deleted afterwards."""
    with deleted_afterwards(queue.name) as client:
        yield client


def made(client: SyncPrefectClient, queue: SourceQueue, state: State[Any], **labels: str) -> FlowRun:
    """Return a run in that queue."""
    run = client.create_flow_run(job, state=state_of(KIND, JobStatus.QUEUED), tags=[queue.name])
    set_labels(client, run.id, {SOURCE: queue.source, **labels})
    put(client, run.id, state)
    return client.read_flow_run(run.id)


def parked(client: SyncPrefectClient, queue: SourceQueue, *, age: timedelta, beat: timedelta) -> FlowRun:
    """Return a run that has waited in its process for `age`, and whose last sign of life is `beat` old."""
    queued = (server_now() - age).isoformat()
    due = StateDetails.model_validate({"scheduled_time": server_now() - age + timedelta(hours=1)})
    state: State[Any] = State(type=StateType.SCHEDULED, name="Queued", state_details=due)
    return made(client, queue, state, **{QUEUED: queued, BEAT: (server_now() - beat).isoformat()})


def test_a_job_that_waits_for_hours_in_its_process_keeps_its_place(
    client: SyncPrefectClient, queue: SourceQueue
) -> None:
    """A job waits as long as its process gives signs of life; a job of a dead process is passed over."""
    first = parked(client, queue, age=timedelta(hours=5), beat=timedelta(seconds=20))
    dead = parked(client, queue, age=timedelta(hours=4), beat=timedelta(minutes=5))
    last = parked(client, queue, age=timedelta(minutes=1), beat=timedelta())
    found = queue.read(client)
    assert [run.id for run in found.waiting] == [first.id, last.id]
    assert [found.may_start(run.id) for run in (first, dead, last)] == [True, False, False]


@pytest.mark.parametrize("status", [JobStatus.DRAFTED, JobStatus.AWAITING_COLLECTION])
def test_a_job_that_has_not_begun_is_not_waited_for(
    client: SyncPrefectClient, queue: SourceQueue, status: JobStatus
) -> None:
    """A job that has not begun does not wait, although it has a place in the queue."""
    kind = KIND if status is JobStatus.DRAFTED else JobKind.EXPORT
    labels = {QUEUED: "2026-01-01T00:00:00+00:00", BEAT: server_now().isoformat()}
    made(client, queue, state_of(kind, status), **labels)
    waiting = parked(client, queue, age=timedelta(minutes=1), beat=timedelta())
    assert [run.id for run in queue.read(client).waiting] == [waiting.id]


def test_a_slot_whose_lease_expired_is_not_free_yet(client: SyncPrefectClient, queue: SourceQueue) -> None:
    """A job whose lease expired is settled before another starts, although the server counts its slot as free."""
    made(client, queue, state_of(KIND, JobStatus.IN_PROGRESS), **{LEASE: str(uuid4())})
    waiting = parked(client, queue, age=timedelta(minutes=1), beat=timedelta())
    found = queue.read(client)
    assert (found.free, found.lapsed, found.may_start(waiting.id)) == (0, True, False)


@pytest.mark.parametrize("name", ["Cancelling", "Cancelled"])
def test_a_cancellation_in_the_same_moment_stands(client: SyncPrefectClient, queue: SourceQueue, name: str) -> None:
    """Whatever was about to be set over it."""
    run = made(client, queue, State(type=StateType.RUNNING, name="Running"))
    put(client, run.id, State(type=StateType[name.upper()], name=name))
    assert not put_unless_canceled(client, run.id, state_of(KIND, JobStatus.IN_PROGRESS))
    assert client.read_flow_run(run.id).state_name == name
    other = made(client, queue, state_of(KIND, JobStatus.QUEUED))
    assert put_unless_canceled(client, other.id, state_of(KIND, JobStatus.IN_PROGRESS))


@pytest.mark.parametrize("how", ["noted", "Cancelling"])
def test_a_job_that_is_canceled_while_it_is_parked_does_not_wait(
    client: SyncPrefectClient, queue: SourceQueue, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canceled job stops waiting at once, and does not start when its turn comes."""
    monkeypatch.setattr(turn, "in_infrastructure", lambda _: True)
    queue.read(client)
    assert queue.take(client, uuid4()) is not None
    queued = {QUEUED: server_now().isoformat(), BEAT: server_now().isoformat()}
    run = made(client, queue, State(type=StateType.RUNNING, name="Running"), **queued)
    if how == "noted":
        set_labels(client, run.id, {CANCELED_BY: "ann"})
    else:
        put(client, run.id, State(type=StateType.CANCELLING, name="Cancelling"))
    assert turn.wait_for_turn(client, run, queue, lambda _: False, _ignore, _ignore) == ""


def _ignore(_: object) -> None:
    return None


def test_a_job_waits_on_while_the_server_is_out_of_reach(
    client: SyncPrefectClient, queue: SourceQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting job shows that the server does not answer, and starts when it answers and the turn has come."""
    queue.read(client)
    lease = queue.take(client, uuid4())
    assert lease is not None
    queued = {QUEUED: server_now().isoformat(), BEAT: server_now().isoformat()}
    run = made(client, queue, State(type=StateType.RUNNING, name="Running"), **queued)
    said: list[str] = []
    read = SourceQueue.read

    def unreliable(self: SourceQueue, client: SyncPrefectClient) -> Any:
        if len(said) == 1:
            raise httpx.ConnectError("connection refused")
        client.release_concurrency_slots_with_lease(UUID(lease)) if len(said) > 1 else None
        return read(self, client)

    monkeypatch.setattr(SourceQueue, "read", unreliable)
    assert turn.wait_for_turn(client, run, queue, lambda _: False, said.append, _ignore)
    assert [text.partition(" ")[0] for text in said] == ["Waiting", "Prefect's"]


@pytest.mark.parametrize("state", [StateType.PENDING, StateType.RUNNING])
def test_a_run_without_a_process_label_is_lost_after_a_while(
    client: SyncPrefectClient, queue: SourceQueue, state: StateType
) -> None:
    """A run that another run made has the label of its process a moment later; one whose process is gone is lost."""
    run = made(client, queue, State(type=state, name=state.value.capitalize()))
    assert not may_be_left(run, server_now())
    # The server's clock is known to a few seconds: its header `Date` is late when the server is busy.
    assert may_be_left(run, server_now() + LOST_AFTER + timedelta(seconds=10))
    set_labels(client, run.id, gone_process())
    assert may_be_left(client.read_flow_run(run.id), server_now())


def test_a_process_that_was_lost_between_the_end_and_the_handing_on(
    client: SyncPrefectClient, queue: SourceQueue
) -> None:
    """Recovery gives its slot back; the lease need not run out."""
    run = made(client, queue, state_of(KIND, JobStatus.IN_PROGRESS), **gone_process())
    queue.read(client)
    lease = queue.take(client, run.id)
    assert lease is not None
    set_labels(client, run.id, {LEASE: lease})
    put(client, run.id, state_of(KIND, JobStatus.SUCCESSFULLY_COMPLETED))
    assert queue.read(client).free == 0
    assert any(queue.name in said for said in recover(client))
    assert queue.read(client).free == 1
