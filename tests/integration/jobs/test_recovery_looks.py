"""The recovery flow copes with runs that have changed since it read them, and with invalid ones."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType

from prefect_collect import FileSource, collect, jobs
from prefect_collect.flows import recover_jobs
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.flows.settling import settle
from prefect_collect.job_folder import custody_log
from prefect_collect.runs.labels import LEASE, set_labels
from prefect_collect.runs.leaked_slots import give_back_leaked
from prefect_collect.runs.server_clock import server_now
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.runs.states import put, state_of
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import gone_process
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_a_bad_run_does_not_keep_recovery_from_the_others(prefect: PrefectServer, root: Path, store: str) -> None:
    """A run with invalid parameters is skipped, and the crashed job beside it is ended."""
    bad = str(collect(FileSource(root=root, name="bad"), store=store, return_state=True).state_details.flow_run_id)
    good = str(collect(FileSource(root=root, name="good"), store=store, return_state=True).state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(bad), parameters={"source": 1, "store": {"a": 1}})
        for job_id in (bad, good):
            client.set_flow_run_state(UUID(job_id), State(type=StateType.CRASHED, name="Crashed"), force=True)
        recover(client)
        assert jobs.get(good).status is not None
        assert client.read_flow_run(UUID(good)).state_name != "Crashed"
        assert client.read_flow_run(UUID(bad)).state_name == "Crashed"
        client.delete_flow_run(UUID(bad))


def test_a_slot_that_a_job_is_about_to_record_is_not_leaked(prefect: PrefectServer, root: Path, store: str) -> None:
    """A slot that no job holds is given back only if a second look finds it so, without a job's label in between."""
    queue = SourceQueue(JobKind.COLLECTION, "leaking")
    state = collect(FileSource(root=root, name="leaking"), store=store, return_state=True)
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots_with_lease([queue.name], 1, "concurrency", 60)
        assert not give_back_leaked(client, queue)
        assert not give_back_leaked(client, queue)  # it is too early
        set_labels(client, state.state_details.flow_run_id, {LEASE: "taken"})
        assert not give_back_leaked(client, queue, after=0)
        set_labels(client, state.state_details.flow_run_id, {LEASE: ""})
        assert not give_back_leaked(client, queue, after=0)  # it is seen anew
        assert queue.read(client).free == 0
        assert give_back_leaked(client, queue, after=0)
        assert queue.read(client).free == 1


def test_an_end_that_the_process_sets_while_it_is_judged_stands(
    prefect: PrefectServer, root: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is being canceled, and whose process ends it after its run was read, is not ended once more."""
    run_id = collect(FileSource(root=root, name="ending"), store=store, return_state=True).state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        set_labels(client, run_id, gone_process())
        put(client, run_id, State(type=StateType.CANCELLING, name="Cancelling"))
        read, ended = client.read_flow_run, list[State]()

        def read_just_before_its_end(job_id: UUID) -> FlowRun:
            run = read(job_id)
            if not ended:
                ended.append(state_of(JobKind.COLLECTION, JobStatus.CANCELED, "As its process said."))
                put(client, job_id, ended[0])
            return run

        monkeypatch.setattr(client, "read_flow_run", read_just_before_its_end)
        assert settle(client, run_id, server_now()) is None
        after = read(run_id).state
        assert after is not None
        assert after.message == ended[0].message


def test_an_end_that_the_process_set_after_the_runs_were_read_stands(
    prefect: PrefectServer, root: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was being canceled when recovery read all runs, and has ended by its turn, is not ended once more."""
    run_id = collect(FileSource(root=root, name="ended"), store=store, return_state=True).state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        put(client, run_id, State(type=StateType.CANCELLING, name="Cancelling"))
        as_listed = client.read_flow_run(run_id)
        put(client, run_id, state_of(JobKind.COLLECTION, JobStatus.CANCELED, "As its process said."))
        monkeypatch.setattr(recover_jobs, "_unsettled_runs", lambda _: [as_listed])
        log = custody_log.entries(jobs.get(run_id).folder)
        assert not any(str(run_id) in said for said in recover(client))
        after = client.read_flow_run(run_id).state
        assert after is not None
        assert (after.name, after.message) == ("Canceled", "As its process said.")
        assert custody_log.entries(jobs.get(run_id).folder) == log
