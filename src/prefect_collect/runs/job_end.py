"""What follows the end of a job: the next job in the queue gets its slot, and the exports that waited for it start."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.escaping import one_line
from prefect_collect.runs.job_runs import JobRuns, asking_prefect
from prefect_collect.runs.labels import QUEUED, SOURCE, label_of
from prefect_collect.runs.leaked_slots import give_back_forgotten
from prefect_collect.runs.session import Session, release_session, session_of
from prefect_collect.runs.source_queue import QueueState, SourceQueue, give_back
from prefect_collect.runs.turn import leave_queue, release, release_next
from prefect_collect.statuses import JobKind

T = TypeVar("T")

_log = get_logger("prefect_collect")


def queue_of(client: SyncPrefectClient, run: FlowRun) -> SourceQueue | None:
    """Return the queue that the run is in; None if it has not joined one."""
    source = label_of(run, SOURCE)
    kind = kind_of(client, run)
    return SourceQueue(kind, source) if source and kind is not None else None


def kind_of(client: SyncPrefectClient, run: FlowRun) -> JobKind | None:
    """Return the kind of job that the run is; None if it is no job of this package."""
    return JobRuns(asking_prefect(client)).kind_of(run.flow_id)


def job_ended(
    run_id: UUID,
    then: Callable[[SyncPrefectClient, FlowRun], Any] | None = None,
    show: Callable[[QueueState, SourceQueue], Any] | None = None,
    *,
    lease: str = "",
) -> None:
    """Give the job's slot to the next job in the queue, then take the steps that follow.

    A step that fails is logged, and the recovery flow does it later. After an interrupt, the job still counts as
    running in this process.

    Args:
        run_id: The job's run.
        then: What is done for the job after its slot was given on.
        show: What is done with the queue, as it stood then, if jobs wait in it.
        lease: The lease of the job's slot, if this process has no session for the job any more.
    """
    session = session_of(run_id)
    if session is not None:
        session.end()
        lease = session.lease
    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(run_id)
        except ObjectNotFound:
            give_slot_on(client, session)
        else:
            waiting = _tried(run, partial(_hand_on, client, run, lease))
            if show is not None and waiting is not None:
                _tried(run, partial(show, *waiting))
            if then is not None:
                _tried(run, partial(then, client, run))
    if session is not None:
        release_session(session)


def _tried(run: FlowRun, step: Callable[[], T]) -> T | None:
    """Take a step and return its value; return None if it fails, so that the other steps are taken."""
    try:
        return step()
    except Exception as error:
        _log.warning("After the end of job %s: %s: %s", run.id, type(error).__name__, one_line(str(error)))
        return None


def _hand_on(client: SyncPrefectClient, run: FlowRun, lease: str) -> tuple[QueueState, SourceQueue] | None:
    """Give the slot to the next job in the queue, and return the queue; None if no job waits in it."""
    started_again = run.state is not None and not run.state.is_final()
    known = leave_queue(client, run, lease=lease, keep=(QUEUED,) if started_again else ())
    queue = queue_of(client, run)
    if queue is None:
        return None
    if not known:
        give_back_forgotten(client, queue)
    queue_state = queue.read_waiting(client)
    if queue_state is None:
        return None
    release(client, queue, queue_state)
    return queue_state, queue


def give_slot_on(client: SyncPrefectClient, session: Session | None) -> None:
    """Give the session's slot to the next job in the queue, after the run was deleted or taken over by a process."""
    if session is not None and session.lease and session.queue is not None:
        give_back(client, session.lease, session.queue)
        release_next(client, session.queue)


def forget(client: SyncPrefectClient, run_id: UUID) -> None:
    """Delete a run and its artifacts from Prefect; what is not there is ignored."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    for artifact in client.read_artifacts(artifact_filter=only):
        with suppress(ObjectNotFound):
            client.delete_artifact(artifact.id)
    with suppress(ObjectNotFound):
        client.delete_flow_run(run_id)
