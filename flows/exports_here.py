"""Run the exports that waited for a collection in the collection's process, if they have no worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import Abort

from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.flows.auto_exports import pending_exports
from prefect_collect.flows.registry import flow_named
from prefect_collect.flows.running_job import run_job
from prefect_collect.runs.names import EXPORT_FLOW
from prefect_collect.runs.states import claimed_state, put
from prefect_collect.runs.turn import claim
from prefect_collect.statuses import JobKind


@contextmanager
def run_here() -> Iterator[None]:
    """Run a job in this process, and at its end the exports that waited for it and have no worker."""
    if pending_exports.get() is not None:
        yield
        return
    waiting: list[UUID] = []
    token = pending_exports.set(waiting)
    try:
        yield
        for run_id in waiting:
            run_export_here(run_id)
        if waiting:
            refresh_snapshot()  # the exports ended too soon after their collection to be counted
    finally:
        pending_exports.reset(token)


def run_export_here(run_id: UUID) -> None:
    """Run an export that awaited its collection in this process."""
    with get_client(sync_client=True) as client:
        claim(client, run_id)
        put(client, run_id, claimed_state(JobKind.EXPORT))
        run = client.read_flow_run(run_id)
    with suppress(Abort):  # another process runs it
        run_job(flow_named(EXPORT_FLOW), run, return_type="state")
