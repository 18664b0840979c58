"""Jobs whose end Prefect does not take: they end as what they have come to, and their slot goes to the next.

What gets in the way happens just before Prefect's engine sets the state in which the flow ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from prefect_collect import collect, export, jobs
from prefect_collect.errors import PrefectError, PrefectUnavailable
from prefect_collect.evidence import verify_job
from prefect_collect.flows._deploying import ensure_deployments
from prefect_collect.flows._held import Held
from prefect_collect.runs._after import held
from prefect_collect.runs._line import Line
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.faults import FaultProxy
from tests.integration.jobs.reaching import Desk
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

SUCCESS = JobStatus.SUCCESSFULLY_COMPLETED
_ROOT = Path(__file__).parents[3]
_WORKER = """
import runpy
from tests.integration.jobs.test_untold_ends import before_the_end, deleted

with before_the_end(deleted):
    runpy.run_module("prefect.engine", run_name="__main__")
"""


@contextmanager
def before_the_end(act: Callable[[UUID], object]) -> Iterator[list[UUID]]:
    """Within it, that is done just before Prefect's engine is given the state of a job's end; gives the jobs."""
    final, met = Held._final, list[UUID]()

    def acting(self: Held, state: State[Any], **options: Any) -> State[Any]:
        met.append(self.run.id)
        act(self.run.id)
        return final(self, state, **options)

    Held._final = acting  # type: ignore[method-assign]
    try:
        yield met
    finally:
        Held._final = final  # type: ignore[method-assign]


def deleted(run_id: UUID) -> None:
    """What Prefect's UI does for Delete."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run_id)


def canceled(run_id: UUID) -> None:
    """What Prefect's UI does for Cancel."""
    with get_client(sync_client=True) as client:
        state: State[Any] = State(type=StateType.CANCELLING, name="Cancelling")
        client.set_flow_run_state(run_id, state, force=True)


def require_free(desk: Desk, kind: JobKind, *run_ids: UUID) -> None:
    """Assert that the slot is free, and that this process holds none of the jobs any more."""
    assert not any(held(run_id) for run_id in run_ids)
    with get_client(sync_client=True) as client:
        assert Line(kind, desk.name).read(client).free == 1


def running(desk: Desk, kind: JobKind) -> Callable[[], State[Any]]:
    """What runs a job of that kind in this process."""
    if kind is JobKind.COLLECTION:
        return lambda: collect(desk.source(), store=desk.store, return_state=True)
    collection = desk.collected()
    return lambda: export(collection.id, str(desk.out), store=desk.store, return_state=True)


@pytest.mark.parametrize("kind", JobKind)
def test_a_run_that_was_deleted(desk: Desk, kind: JobKind) -> None:
    """Who called it is told so; the next job of the source starts at once, and the evidence is whole."""
    run = running(desk, kind)
    with before_the_end(deleted) as met, pytest.raises(PrefectError, match="not found"):
        run()
    [run_id] = met
    require_free(desk, kind, run_id)
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(run_id)
    assert verify_job(jobs.get(run_id, desk.store).folder).valid


def test_a_run_that_was_deleted_in_a_process_of_a_worker(desk: Desk, prefect: PrefectServer) -> None:
    """The slot is given back with the end of the process."""
    ensure_deployments()
    job = jobs.start(jobs.draft_collection(desk.source(), store=desk.store).id, here=False)
    subprocess.run(
        [sys.executable, "-c", _WORKER], check=False, cwd=_ROOT,
        env={**prefect.environment(), "PYTHONPATH": str(_ROOT), "PREFECT__FLOW_RUN_ID": job.id},
    )  # fmt: skip
    assert job.folder.result() is not None
    require_free(desk, JobKind.COLLECTION)
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(UUID(job.id))


@pytest.mark.parametrize("kind", JobKind)
def test_a_run_that_was_canceled(desk: Desk, kind: JobKind) -> None:
    """Its work is done, so it has its true status, though Prefect would have it end as Cancelled only."""
    run = running(desk, kind)
    with before_the_end(canceled) as met:
        run()
    job = jobs.get(met[0])
    assert (job.status, job.result and job.result.status) == (SUCCESS, SUCCESS)
    require_free(desk, kind, *met)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("kind", JobKind)
def test_a_server_that_fails(desk: Desk, prefect: PrefectServer, kind: JobKind, times: int) -> None:
    """The engine tries to end the flow as Failed then, once: the job has its true status all the same."""
    run = running(desk, kind)
    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():

        def failing(_: UUID) -> None:
            proxy.fail_next(times, status=500, method="POST", path="/set_state")

        with before_the_end(failing) as met:
            if times == 1:
                run()
            else:
                with pytest.raises(PrefectUnavailable, match="500"):
                    run()
    job = jobs.get(met[0])
    assert (job.status, job.result and job.result.status) == (SUCCESS, SUCCESS), job.message
    require_free(desk, kind, *met)
