"""Which jobs are listed, in which order, among many runs and many folders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateDetails, StateType

from prefect_collect import FileSource, collect, export, jobs
from prefect_collect.runs.states import parked_state, put
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import open_store
from tests.support.run_attempts import attempt, new_job

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]


def collected(root: Path, store: str) -> str:
    """Return the id of a collection that has ended."""
    state = collect(source=FileSource(name="files", root=root), store=store, return_state=True)
    return str(state.state_details.flow_run_id)


def planned(client: SyncPrefectClient) -> State[None]:
    """Return the state of a run that a schedule has made for tomorrow."""
    details = StateDetails.model_validate({"scheduled_time": datetime.now(UTC) + timedelta(days=1)})
    return State(type=StateType.SCHEDULED, name="Scheduled", state_details=details)


def staged(root: Path, store: str) -> str:
    """Return the id of a collection of which Prefect has no run, as of one that it has deleted."""
    source = FileSource(name="files", root=root)
    folder = new_job(open_store(store), source)
    attempt(folder, source)
    return folder.job_id


def test_what_is_planned_hides_no_job(root: Path, store: str) -> None:
    """Later runs of a schedule are not listed and hide no job; a job that is parked until tomorrow is listed."""
    job_id = collected(root, store)
    with get_client(sync_client=True) as client:
        later = [client.create_flow_run(collect, name=f"later {n}", state=planned(client)) for n in range(12)]
        parked = client.create_flow_run(collect, name="parked", state=planned(client))
        put(client, parked.id, parked_state(JobKind.COLLECTION, "It waits."))
        try:
            listed = [job.id for job in jobs.list_jobs(10)]
            assert {job_id, str(parked.id)} <= {*listed}
            queued = {job.id for job in jobs.list_jobs(None, statuses=[JobStatus.QUEUED])}
            assert not {str(run.id) for run in later} & {*listed, *queued}
        finally:
            for run in [*later, parked]:
                client.delete_flow_run(run.id)


def test_a_named_store_with_a_limit(root: Path, tmp_path: Path) -> None:
    """The newest jobs of the store are listed, with or without a run, although another store has newer ones."""
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    ids = [collected(root, here), collected(root, here), staged(root, here)]
    exported = str(export(ids[0], str(tmp_path / "out"), store=here, return_state=True).state_details.flow_run_id)
    collected(root, there)
    assert [job.id for job in jobs.list_jobs(1, here)] == [exported]
    assert [job.id for job in jobs.list_jobs(3, here)] == [exported, ids[2], ids[1]]
    assert [job.id for job in jobs.list_jobs(2, here, JobKind.COLLECTION)] == [ids[2], ids[1]]
    assert [job.id for job in jobs.list_jobs(None, here)] == [exported, *reversed(ids)]
    assert jobs.list_jobs(0, here) == []
    ended = [JobStatus.SUCCESSFULLY_COMPLETED]
    assert [job.id for job in jobs.list_jobs(2, here, statuses=ended)] == [exported, ids[2]]
    assert jobs.list_jobs(None, here, statuses=[JobStatus.FAILED]) == []
    lost = jobs.list_jobs(2, here)[1]
    assert (lost.status, "no run" in lost.message) == (JobStatus.SUCCESSFULLY_COMPLETED, True)


def test_prefect_is_asked_for_many_at_once(root: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request asks for the runs of many of a store's folders.

    Jobs of other tests that wait are left out of the list, and requests for pages of all runs are not counted.
    """
    monkeypatch.setattr("prefect_collect.jobs._stores.default_store", lambda: store)
    ids = [staged(root, store), collected(root, store), staged(root, store), collected(root, store)]
    asked: list[set[str]] = []
    send = httpx.Client.send

    def counting(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        if request.url.path.endswith("/flow_runs/filter"):
            named = {one for one in ids if one in request.content.decode()}
            asked.extend([named] if named else [])
        return send(self, request, **how)

    monkeypatch.setattr(httpx.Client, "send", counting)
    ended = [JobStatus.SUCCESSFULLY_COMPLETED]
    assert [job.id for job in jobs.list_jobs(2, statuses=ended)] == [ids[3], ids[2]]
    assert [job.id for job in jobs.list_jobs(4, statuses=ended)] == [*reversed(ids)]
    assert [job.id for job in jobs.list_jobs(store=store)] == [*reversed(ids)]
    assert asked == [{ids[0], ids[2]}, {ids[0], ids[2]}, {*ids}]
