"""Whole machines that fail, freeze and come back, and jobs that must be left alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_collect import jobs
from prefect_collect.flows import lost_runs, recover_jobs
from prefect_collect.runs.labels import BEAT, label_of, process_of
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from tests import forked
from tests.integration.jobs.every_status import FILES, Desk, opened_desk, until, when
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.served.conftest import _ROOT
from tests.integration.served.machines import Machine, machine
from tests.integration.served.test_recovery import (
    begun,
    committed,
    dying,
    recoveries,
    require_valid,
    run_of,
    sharded,
    worked_on,
)
from tests.support.run_attempts import held

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with no machines but those of these tests."""
    with running_prefect_server(tmp_path_factory.mktemp("machines")) as server:
        yield server


@pytest.fixture
def client(prefect_server: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of the server, which this process uses."""
    with prefect_server.used(), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def desk(client: SyncPrefectClient, tmp_path: Path) -> Iterator[Desk]:
    """A desk for jobs."""
    with opened_desk(tmp_path / "desk") as desk:
        yield desk


def run_as_worker(server: PrefectServer, run_id: UUID) -> None:
    """Run a deployment's run, as a worker does."""
    forked.run(
        [sys.executable, "-m", "prefect.engine"], check=True, cwd=_ROOT,
        env={**server.environment(), "PREFECT__FLOW_RUN_ID": str(run_id)},
    )  # fmt: skip


def test_a_machine_that_fails(
    client: SyncPrefectClient, desk: Desk, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """Its jobs are resumed by a run of the recovery deployment, or by the next `serve`; the queued jobs follow."""
    with machine(prefect_server, tmp_path / "first") as first:
        job = begun(desk, sharded(desk, 600.0))
        worked_on(job, 1)
        behind = begun(desk, sharded(desk, 600.0))
        until(lambda: jobs.get(behind.id).message.startswith("Waiting for"), "the queue")
        first.kill()
    assert jobs.get(job.id).status is JobStatus.IN_PROGRESS
    deployment = client.read_deployment_by_name("recovery/prefect-collect")
    run = client.create_flow_run_from_deployment(deployment.id)
    run_as_worker(prefect_server, run.id)
    done = client.read_flow_run(run.id)
    assert done.state is not None
    assert done.state.is_completed()
    assert "recovered" in str(done.state.message)
    assert jobs.get(job.id).status is JobStatus.QUEUED
    assert "1 of 3" in jobs.get(job.id).message
    with machine(prefect_server, tmp_path / "second") as second:
        worked_on(job, 2)
        second.kill()
    desk.gate.touch()
    with machine(prefect_server, tmp_path / "third", forks=False):
        for one in (job, behind):
            assert when(one, JobStatus.SUCCESSFULLY_COMPLETED).result is not None
            assert len(held(one.folder)) == FILES
            require_valid(one)
    assert recoveries(job) == [(1, "Queued"), (2, "Queued")]
    assert recoveries(behind) == []


def test_a_healthy_job_is_left_alone(
    client: SyncPrefectClient, desk: Desk, prefect_server: PrefectServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A job that takes long for a shard gives signs of life; from another host, nothing else of it can be seen."""
    monkeypatch.setattr(lost_runs, "LOST_AFTER", timedelta(seconds=30))
    with machine(prefect_server, tmp_path / "far", "far"):
        job = begun(desk, sharded(desk, 600.0))
        worked_on(job, 1)
        assert process_of(run_of(job).labels)["host"] == "far"
        beats: set[str] = set()

        def is_left_alone() -> bool:
            assert not [line for line in recover_jobs.recover(client) if job.id in line]
            beats.add(label_of(run_of(job), BEAT))
            return len(beats) > 2

        until(is_left_alone, "signs of life, 15 s apart", every=3)
        assert committed(job, 1) == 0
        desk.gate.touch()
        job = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
    assert len(job.attempts) == 1
    assert recoveries(job) == []


def frozen(desk: Desk, on: Machine) -> tuple[jobs.Job, list[int]]:
    """Freeze the machine while a job runs on it; return the job and its processes."""
    job = begun(desk, sharded(desk, 1.0, items=5))
    worked_on(job, 1, shards=1)
    pids = on.jobs()
    assert pids
    on.freeze()
    return job, pids


def given_up(client: SyncPrefectClient, job: jobs.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the recovery count the job as lost, after seconds in place of the whole time."""
    monkeypatch.setattr(lost_runs, "LOST_AFTER", timedelta(seconds=3))
    until(lambda: any(job.id in line for line in recover_jobs.recover(client)), "recovery")
    monkeypatch.undo()


def are_gone(pids: list[int]) -> bool:
    """Return whether those processes have ended."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_machine_that_comes_back(
    client: SyncPrefectClient, desk: Desk, prefect_server: PrefectServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its job was resumed on another one: its process stops by itself, and touches neither state nor evidence."""
    with machine(prefect_server, tmp_path / "one", "one") as one:
        job, pids = frozen(desk, one)
        given_up(client, job, monkeypatch)
        with machine(prefect_server, tmp_path / "two", "two"):
            worked_on(job, 2)
            one.thaw()
            until(lambda: are_gone(pids), "the end of the stale process")
            run = run_of(job)
            assert (run.state_name, process_of(run.labels)["host"]) == ("In progress", "two")
            assert SourceQueue(JobKind.COLLECTION, desk.name).read(client).free == 0
            assert job.folder.attempts() == [1, 2]
            desk.gate.touch()
            job = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
            until(lambda: SourceQueue(JobKind.COLLECTION, desk.name).read(client).free == 1, "the slot")
    assert [result.attempt for result in job.attempts] == [1, 2]
    assert len(held(job.folder)) == FILES
    assert set(recoveries(job)) == {(1, "Queued")}
    require_valid(job)


def test_a_process_that_comes_back_before_its_job_runs_again(
    client: SyncPrefectClient, desk: Desk, prefect_server: PrefectServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It stops too, and leaves the job in the queue; the shards that it had committed are kept."""
    with machine(prefect_server, tmp_path / "one", "one") as one:
        job, pids = frozen(desk, one)
        given_up(client, job, monkeypatch)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        until(lambda: are_gone(pids) or _are_zombies(pids), "the end of the stale process")
        assert run_of(job).state_name == "Queued"
        one.thaw()
        worked_on(job, 2)
        desk.gate.touch()
        job = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
    assert [result.attempt for result in job.attempts] == [1, 2]
    assert job.attempts[0].counts.succeeded > 0
    assert len(held(job.folder)) == FILES
    require_valid(job)


def _are_zombies(pids: list[int]) -> bool:
    """Return whether the processes have ended, but their frozen parent has not noticed it."""
    return all(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z" for pid in pids)


@pytest.mark.parametrize(
    ("moment", "said"), [("pending", "did not start it"), ("owned", "did not start it"), ("running", "1 of 3")]
)
def test_a_machine_that_fails_as_a_job_starts(
    client: SyncPrefectClient, desk: Desk, prefect_server: PrefectServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, moment: str, said: str,
) -> None:  # fmt: skip
    """If Prefect shows the job as Running, the recovery finds at once that its process is gone.

    A job that had not come so far is queued again after 5 minutes; here, after 2 s.
    """
    with machine(prefect_server, tmp_path / "serve") as one:
        job = dying(desk, f"machine {moment}")
        one.process.wait()
    if said != "1 of 3":
        assert not [line for line in recover_jobs.recover(client) if job.id in line]
        monkeypatch.setattr(lost_runs, "STARTED_WITHIN", timedelta(seconds=2))
    until(lambda: [line for line in recover_jobs.recover(client) if job.id in line and said in line], "the recovery")
    assert jobs.get(job.id).status is JobStatus.QUEUED
    assert SourceQueue(JobKind.COLLECTION, desk.name).read(client).unheld == 0
