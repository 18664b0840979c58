"""What follows when a job has ended: its slot goes to the next, and what waited for it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.escaping import one_line
from prefect_collect.runs.labels import QUEUED, SOURCE, label_of
from prefect_collect.runs.leaked_slots import give_back_forgotten
from prefect_collect.runs.lease import give_back
from prefect_collect.runs.names import KIND_OF_FLOW
from prefect_collect.runs.running_sessions import held, let_go
from prefect_collect.runs.session import Session
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.turn import leave_queue, release_next
from prefect_collect.statuses import JobKind

_log = get_logger("prefect_collect")
_kinds: dict[UUID, JobKind | None] = {}
"""By the flow's id, which is unique among all servers; Prefect does not rename flows."""


def queue_of(client: SyncPrefectClient, run: FlowRun) -> SourceQueue | None:
    """The queue that the run is in; None if it never came so far."""
    source = label_of(run, SOURCE)
    kind = kind_of(client, run)
    return SourceQueue(kind, source) if source and kind is not None else None


def kind_of(client: SyncPrefectClient, run: FlowRun) -> JobKind | None:
    """The kind of job that the run is; None if it is none of ours."""
    if run.flow_id not in _kinds:
        _kinds[run.flow_id] = KIND_OF_FLOW.get(client.read_flow(run.flow_id).name)
    return _kinds[run.flow_id]


def job_ended(run_id: UUID, *then: Callable[[SyncPrefectClient, FlowRun], Any], lease: str = "") -> None:
    """Give the slot to the next in the queue, and do what follows. What fails is left to the recovery flow.

    `lease` is the slot's, of a job that this process held before. If an interrupt breaks this off, the process still
    has its hold on the job.
    """
    session = held(run_id)
    if session is not None:
        session.end()
        lease = session.lease
    with get_client(sync_client=True) as client:
        _follow(client, run_id, session, [partial(_hand_on, lease=lease), *then])
    let_go(run_id)


def _follow(
    client: SyncPrefectClient,
    run_id: UUID,
    session: Session | None,
    steps: Iterable[Callable[[SyncPrefectClient, FlowRun], Any]],
) -> None:
    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:
        give_slot_on(client, session)
        return
    for step in steps:
        try:
            step(client, run)
        except Exception as error:
            _log.warning("After the end of job %s: %s: %s", run_id, type(error).__name__, one_line(str(error)))


def _hand_on(client: SyncPrefectClient, run: FlowRun, *, lease: str) -> None:
    started_again = run.state is not None and not run.state.is_final()
    known = leave_queue(client, run, lease=lease, keep=(QUEUED,) if started_again else ())
    queue = queue_of(client, run)
    if queue is not None:
        if not known:
            give_back_forgotten(client, queue)
        release_next(client, queue)


def give_slot_on(client: SyncPrefectClient, session: Session | None) -> None:
    """Give the slot that this process has to the next in the queue: the job's run was deleted, or is another's."""
    if session is not None and session.lease and session.queue is not None:
        give_back(client, session.lease, session.queue)
        release_next(client, session.queue)


def forget(client: SyncPrefectClient, run_id: UUID) -> None:
    """Delete a run, and what it shows in Prefect's UI; nothing happens if it is not there."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    for artifact in client.read_artifacts(artifact_filter=only):
        with suppress(ObjectNotFound):
            client.delete_artifact(artifact.id)
    with suppress(ObjectNotFound):
        client.delete_flow_run(run_id)
