"""Jobs whose end Prefect does not accept: they end with their true status, and their slot goes to the next job.

The fault is caused just before Prefect's engine sets the state in which the flow ends. Collections and exports end by
the same code (`flows.running_job`), so that an export only shows that it goes there: it meets one fault that loses the
run, and one that loses both what the job says and what the engine says.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
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
from prefect_collect.errors import PrefectError
from prefect_collect.flows.deploying import ensure_deployments
from prefect_collect.flows.running_job import RunningJob
from prefect_collect.runs.session import session_of
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.verification import verify_job
from tests import forked
from tests.integration.faults import FaultProxy
from tests.integration.jobs.every_status import Desk, until
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

SUCCESS = JobStatus.SUCCESSFULLY_COMPLETED
_ROOT = Path(__file__).parents[3]
_WORKER = """
import runpy
from tests.integration.jobs.test_refused_ends import before_the_end, deleted

with before_the_end(deleted):
    runpy.run_module("prefect.engine", run_name="__main__")
"""


@contextmanager
def before_the_end(act: Callable[[UUID], object], *, told: bool = True) -> Iterator[list[UUID]]:
    """Call `act` just before Prefect's engine is given the final state of a job; yield the ids of these jobs.

    If not `told`, call it as soon as the work has ended.
    """
    name, met = "_final" if told else "ended", list[UUID]()
    ending = getattr(RunningJob, name)

    def acting(self: RunningJob, *args: Any, **options: Any) -> State[Any]:
        met.append(self.run.id)
        act(self.run.id)
        state: State[Any] = ending(self, *args, **options)
        return state

    setattr(RunningJob, name, acting)
    try:
        yield met
    finally:
        setattr(RunningJob, name, ending)


def deleted(run_id: UUID) -> None:
    """Delete the run, as Prefect's UI does."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run_id)


def canceled(run_id: UUID) -> None:
    """Cancel the run, as Prefect's UI does."""
    with get_client(sync_client=True) as client:
        state: State[Any] = State(type=StateType.CANCELLING, name="Cancelling")
        client.set_flow_run_state(run_id, state, force=True)


def require_free(desk: Desk, *run_ids: UUID, kind: JobKind = JobKind.COLLECTION) -> None:
    """Assert that the slot is free, and that none of the jobs is a running job of this process any more."""
    assert not any(session_of(run_id) for run_id in run_ids)
    assert is_free(desk, kind)


def is_free(desk: Desk, kind: JobKind = JobKind.COLLECTION) -> bool:
    """Return whether the slot is free."""
    with get_client(sync_client=True) as client:
        return SourceQueue(kind, desk.name).read(client).free == 1


def running(desk: Desk, kind: JobKind = JobKind.COLLECTION, *, return_state: bool = True) -> Callable[[], Any]:
    """Return a function that runs a job of that kind in this process."""
    options: Any = {"store": desk.store, "return_state": return_state}
    if kind is JobKind.COLLECTION:
        return lambda: collect(desk.source(), **options)
    collection = desk.staged()
    return lambda: export(collection.id, str(desk.out), **options)


@pytest.mark.parametrize("kind", JobKind)
def test_a_run_that_was_deleted(desk: Desk, kind: JobKind) -> None:
    """The caller gets the error; the next job of the source starts at once, and the evidence is whole."""
    run = running(desk, kind)
    with before_the_end(deleted) as met, pytest.raises(PrefectError, match="not found"):
        run()
    [run_id] = met
    require_free(desk, run_id, kind=kind)
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(run_id)
    assert verify_job(jobs.get(run_id, desk.store).folder).valid


def test_a_run_that_was_deleted_in_a_process_of_a_worker(desk: Desk, prefect: PrefectServer) -> None:
    """The slot is given back when the process ends."""
    ensure_deployments()
    job = jobs.start(jobs.draft_collection(desk.source(), store=desk.store).id, here=False)
    forked.run(
        [sys.executable, "-c", _WORKER], cwd=_ROOT,
        env={**prefect.environment(), "PYTHONPATH": str(_ROOT), "PREFECT__FLOW_RUN_ID": job.id},
    )  # fmt: skip
    assert job.folder.result() is not None
    require_free(desk)
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(UUID(job.id))


def test_a_run_that_was_canceled(desk: Desk) -> None:
    """The work is done, so the job has its true status, although Prefect would end it only as Cancelled."""
    run = running(desk)
    with before_the_end(canceled) as met:
        run()
    job = jobs.get(met[0])
    assert (job.status, job.result and job.result.status) == (SUCCESS, SUCCESS)
    require_free(desk, *met)


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (JobKind.COLLECTION, "/set_state{1}"),
        (JobKind.COLLECTION, "/set_state{2}"),
        (JobKind.COLLECTION, "/set_state{3}"),
        (JobKind.COLLECTION, "/labels{2}/set_state{1}"),
        (JobKind.EXPORT, "/labels{2}/set_state{1}"),
    ],
)
def test_a_server_that_fails(desk: Desk, prefect: PrefectServer, kind: JobKind, failing: str) -> None:
    """The engine then tries once to end the flow as Failed: the job has its true status anyway.

    The caller gets the state, or the value, of that status, not what the engine made of the server's answers.
    """
    run = running(desk, kind, return_state=failing.endswith(("{1}", "{3}")))
    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():

        def fail(_: object) -> None:
            for path, times in re.findall(r"(/\w+)\{(\d)\}", failing):
                proxy.fail_next(int(times), status=500, path=path)

        with before_the_end(fail, told="/labels" not in failing) as met:
            ended = run()
    job = jobs.get(met[0])
    assert (job.status, job.result and job.result.status) == (SUCCESS, SUCCESS), job.message
    if isinstance(ended, State):
        assert (ended.type, ended.name, ended.message) == (StateType.COMPLETED, str(SUCCESS), job.message)
        assert ended.state_details.flow_run_id == met[0]
        ended = ended.result()
    assert ended == job.result
    require_free(desk, *met, kind=kind)


def calls_of(thread: threading.Thread) -> set[str]:
    """Return the names of the functions on the thread's stack."""
    frame = sys._current_frames().get(thread.ident or 0)
    return {frame.f_code.co_name for frame, _ in traceback.walk_stack(frame)}


@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize(("told", "where"), [(False, "wait_for_server"), (True, "_send_with_retry")])
def test_an_interrupt_while_the_server_is_away(
    desk: Desk, prefect: PrefectServer, caplog: pytest.LogCaptureFixture, told: bool, where: str
) -> None:
    """Ctrl-C ends the waiting of the job or of Prefect's engine; a process that lives on ends the job later."""
    run = running(desk)

    def interrupting() -> None:
        until(lambda: where in calls_of(threading.main_thread()), "the waiting", 0.05)
        os.kill(os.getpid(), signal.SIGINT)

    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():

        def away(_: UUID) -> None:
            proxy.down()
            threading.Thread(target=interrupting, daemon=True).start()

        with before_the_end(away, told=told) as met, pytest.raises(KeyboardInterrupt, match="could not be reported"):
            run()
        assert "is left to the next job, or the recovery" in caplog.text
        proxy.up()
        until(lambda: jobs.get(met[0]).status is SUCCESS and is_free(desk), "its end, and its slot")
    require_free(desk, *met)


def test_an_answer_that_is_lost(desk: Desk, prefect: PrefectServer) -> None:
    """If the server has set the final state, but its answer is lost, the caller still gets the job's result."""
    run = running(desk, return_state=False)
    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():
        with before_the_end(lambda _: proxy.lose_answer(1, path="/set_state")) as met:
            ended = run()
        assert proxy.count("POST", "/set_state") >= 2
    assert ended == jobs.get(met[0]).result
    require_free(desk, *met)


def test_a_server_that_answers_but_fails(desk: Desk, prefect: PrefectServer) -> None:
    """A process that lives on ends the job once the server accepts the final state again."""
    run = running(desk)
    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():
        with (
            before_the_end(lambda _: proxy.fail_next(10_000, status=500, path="/(flow_runs|artifacts)")) as met,
            pytest.raises(PrefectError),
        ):
            run()
        until(lambda: not session_of(met[0]), "that it is no longer held")
        proxy.clear()
        until(lambda: jobs.get(met[0]).status is SUCCESS and is_free(desk), "its end, and its slot")
    require_free(desk, *met)


@pytest.mark.usefixtures("heeding_interrupts")
def test_an_interrupt_while_the_slot_is_given_back(desk: Desk, prefect: PrefectServer) -> None:
    """Ctrl-C ends the process, and the slot is free."""
    run, giving_back = running(desk), "decrement-with-lease"
    with FaultProxy(prefect.url) as proxy, replace(prefect, url=f"{proxy.url}/api").used():

        def interrupting() -> None:
            until(lambda: proxy.count("POST", giving_back), "that it is given back", 0.05)
            os.kill(os.getpid(), signal.SIGINT)

        def hanging(_: UUID) -> None:
            proxy.hang_next(1, method="POST", path=giving_back)
            threading.Thread(target=interrupting, daemon=True).start()

        with before_the_end(hanging) as met, pytest.raises(KeyboardInterrupt):
            run()
        proxy.release()
    assert jobs.get(met[0]).status is SUCCESS
    require_free(desk, *met)
