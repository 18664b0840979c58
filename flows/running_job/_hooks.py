"""The hooks that Prefect's engine, or a worker, calls when a job's flow run has ended."""

from __future__ import annotations

from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

from prefect_collect.artifacts.job_page import show_places
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.flows.auto_exports import follow_up
from prefect_collect.flows.recover_attempts import result_now
from prefect_collect.flows.recover_jobs import job_crashed
from prefect_collect.flows.running_job._end_states import (
    SNAPSHOT_EVERY,
    end_of,
    is_published,
    put_end,
    put_published_end,
)
from prefect_collect.runs.job_end import job_ended
from prefect_collect.runs.names import KIND_OF_FLOW
from prefect_collect.runs.session import Session, release_session, session_of
from prefect_collect.statuses import JobKind, JobStatus


def on_end(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Publish the job's end if it is not published, give its slot to the next job, and start the waiting exports."""
    session = session_of(flow_run.id)
    try:
        if state.is_failed() and not is_published(session, state):
            _publish_unforeseen_end(KIND_OF_FLOW[flow.name], flow_run, session, state)
    except Exception:
        if session is None:  # else `_engine` ends the job, when its flow or its process ends
            job_ended(flow_run.id, follow_up, show_places)
        raise
    job_ended(flow_run.id, follow_up, show_places)
    refresh_snapshot(SNAPSHOT_EVERY)


def _publish_unforeseen_end(kind: JobKind, run: FlowRun, session: Session | None, state: State[Any]) -> None:
    """Publish the end of a job whose flow did not: Prefect could not call it, or there was an unexpected error.

    Prefect's engine also ends a flow as Failed if the server refuses its final state.
    """
    with get_client(sync_client=True) as client:
        if put_published_end(client, run, kind, session):
            return
        message = state.message or ""
        stands = result_now(run, None if session is None else session.attempt, message)
        if stands is None:
            publish_status(kind, JobStatus.FAILED, run, message)
            return
        result, message = stands
        put_end(client, run.id, end_of(kind, result, message), session)
    publish_status(kind, result.status, run, message, result)


def on_crash(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Recover the job. Called where its process was lost: by the worker that started it, or in the process itself."""
    if (session := session_of(flow_run.id)) is not None:
        release_session(session)
    with get_client(sync_client=True) as client:
        job_crashed(client, flow_run.id)
