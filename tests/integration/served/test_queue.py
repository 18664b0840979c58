"""Six jobs on two sources, two of them at a time, some of them killed."""

from __future__ import annotations

import itertools
import os
import signal
from datetime import datetime
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateType

from prefect_collect import jobs
from prefect_collect.runs.labels import LEASE, label_of, process_of
from prefect_collect.runs.queries import history
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import Desk, until
from tests.integration.jobs.gated_source import GatedFiles

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

JOBS = 6
SOURCES = 2
KILLED = 2
FILES = 5


def test_one_at_a_time_in_order_and_none_is_lost(desk: Desk) -> None:
    """Never two In progress on one source; the order of queueing is kept; every job collects all, killed or not."""
    for n in range(FILES):
        desk.folder.joinpath("tree").mkdir(exist_ok=True)
        desk.folder.joinpath("tree", f"{n}.txt").write_text(f"content {n}")
    sources = [
        GatedFiles(root=desk.folder / "tree", name=f"{desk.name}-{n}", gate=desk.gate, pause=600.0)
        for n in range(SOURCES)
    ]
    drafts = [
        jobs.draft_collection(sources[n % SOURCES], name=f"job {n}", store=desk.store, concurrency=1)
        for n in range(JOBS)
    ]
    for draft in drafts:
        jobs.start(draft.id, here=False)
    ids = [UUID(draft.id) for draft in drafts]
    with get_client(sync_client=True) as client:
        killed: set[UUID] = set()
        while len(killed) < KILLED:
            killed.add(until(lambda: _kill_one(client, drafts, killed), "a job to kill"))
        desk.gate.touch()
        until(lambda: all(_has_ended(client, job) for job in drafts), "all jobs to end", every=1.0, patience=400)
        histories = {run_id: history(client, run_id) for run_id in ids}
        for n in range(SOURCES):
            queue = SourceQueue(JobKind.COLLECTION, sources[n].name)
            own = ids[n::SOURCES]
            spans = sorted(span for run_id in own for span in _in_progress(histories[run_id]))
            for before, after in itertools.pairwise(spans):
                assert before[1] <= after[0], _histories(
                    own, histories, "two jobs of one source were In progress at once"
                )
            begun = sorted(own, key=lambda run_id: _in_progress(histories[run_id])[0])
            assert begun == own, _histories(
                own, histories, "the jobs did not start in the order in which they were queued"
            )
            assert queue.read(client).free == 1, "a slot was not given back"
    for run_id in ids:
        job = jobs.get(run_id)
        assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, f"{job.name}: {job.message}"
        assert job.result is not None
        assert job.result.counts.succeeded == FILES
        assert len(job.attempts) == (2 if run_id in killed else 1), f"{job.name}: {job.attempts}"


def _kill_one(client: SyncPrefectClient, started: list[jobs.Job], killed: set[UUID]) -> UUID | None:
    """Kill the process of a job that works on its first attempt, and return the job's id."""
    for job in started:
        run_id = UUID(job.id)
        if run_id in killed or job.folder.attempts() != [1]:
            continue
        run = client.read_flow_run(run_id)
        if run.state_name != str(JobStatus.IN_PROGRESS) or not label_of(run, LEASE):
            continue
        process = int(process_of(run.labels)["pid"])
        # Stopped, so that it cannot commit its one shard between the check and the kill.
        os.kill(process, signal.SIGSTOP)
        at_work = not any(job.folder.store.list(f"{run_id}/ledger/"))
        os.kill(process, signal.SIGKILL if at_work else signal.SIGCONT)
        if at_work:
            return run_id
    return None


def _has_ended(client: SyncPrefectClient, job: jobs.Job) -> bool:
    if not job.folder.closed_attempts():
        return False
    state = client.read_flow_run(UUID(job.id)).state
    return state is not None and state.type in (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)


def _histories(own: list[UUID], histories: dict[UUID, list[State[object]]], what: str) -> str:
    """Return what is wrong, and all states of these jobs."""
    lines = [
        (state.timestamp, f"{state.timestamp:%H:%M:%S.%f} {own.index(run_id)} {state.name}: {state.message}")
        for run_id in own
        for state in histories[run_id]
    ]
    return "\n".join([what, *(line for _, line in sorted(lines))])


def _in_progress(history: list[State[object]]) -> list[tuple[datetime, datetime]]:
    """Return the times between which the job was In progress."""
    return [
        (state.timestamp, after.timestamp)
        for state, after in itertools.pairwise(history)
        if state.name == str(JobStatus.IN_PROGRESS)
    ]
