"""Runs that are deleted in Prefect: the recovery finds their evidence, and users delete or keep it."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.states import Completed

from prefect_collect import collect, jobs
from prefect_collect.cli import run
from prefect_collect.errors import ActionNotAllowed, JobNotFound
from prefect_collect.flows.deleted_jobs import known_stores
from prefect_collect.flows.recovery import recover
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.job_folder.deleted_jobs import Origin
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.packages import verify
from prefect_collect.runs.names import DELETED_JOBS
from prefect_collect.statuses import JobStatus
from tests.integration.console.console_client import ANNA, VERA, ConsoleClient, new_console
from tests.integration.jobs.every_status import FILES, Desk, until
from tests.integration.shared_server import deleted_afterwards

pytestmark = pytest.mark.integration


def known(desk: Desk) -> dict[str, jobs.DeletedJob]:
    """Return the jobs of the desk's store that are recorded as deleted in Prefect, by id."""
    return {job.job_id: job for job in jobs.list_deleted().jobs if job.store == desk.store}


@pytest.mark.timeout(900)  # the recovery also settles what other tests on this server left
def test_they_are_found_and_deleted_or_kept(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The recovery flow records the jobs without a run, and Prefect's UI shows them; the command line and the console
    list them, keep one and delete the evidence of another one. The custody log names who did so, where it is left.
    """
    stays, kept, gone, last = (desk.collected() for _ in range(4))
    export = desk.exported(gone)
    app = new_console()
    anna, vera = ConsoleClient(app, ANNA), ConsoleClient(app, VERA)
    until(lambda: f"open-{gone.id}" in anna.get(f"/?text={gone.id}").text, "the job in the console's table")
    with get_client(sync_client=True) as client:
        for job in (kept, gone, last):
            client.delete_flow_run(UUID(job.id))
    state = recover(return_state=True)
    assert "deleted in Prefect, but not their evidence" in (state.message or "")
    found = known(desk)
    assert {*found} == {kept.id, gone.id, last.id}
    deleted = found[gone.id]
    assert (deleted.origin, deleted.status, deleted.items) == (Origin.HERE, JobStatus.SUCCESSFULLY_COMPLETED, FILES)
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[DELETED_JOBS])))
    assert gone.id in str(artifact.data)

    capsys.readouterr()
    assert run(["jobs", "--store", desk.store]) == 0
    table, _, end = capsys.readouterr().out.partition("Deleted in Prefect")
    assert [each.id in table for each in (stays, export, kept, gone, last)] == [True, True, False, False, False]
    assert [each.id in end for each in (stays, export, kept, gone, last)] == [False, False, True, True, True]
    assert run(["keep", kept.id]) == 0
    assert run(["jobs", "--json"]) == 0
    listed = {one["job_id"]: one for one in json.loads(capsys.readouterr().out.partition("\n")[2])}
    assert (listed[gone.id]["deleted_in_prefect"], listed[gone.id]["store"]) == (True, desk.store)
    assert kept.id not in listed
    entry = custody_log.entries(kept.folder)[-1]
    assert (entry.action, entry.who) == ("kept", operator())
    assert run(["jobs", "--store", desk.store]) == 0
    assert kept.id in capsys.readouterr().out.partition("Deleted in Prefect")[0]

    page = anna.get("/deleted", **{"HX-Request": "true"}).text
    assert [f"keep-{each.id}" in page for each in (kept, gone, last)] == [False, True, True]
    assert f"open-{gone.id}" not in anna.get(f"/?text={gone.id}").text
    assert "1 kept" in page
    assert vera.get("/deleted", **{"HX-Request": "true"}).text.count(" disabled") > 2
    assert "Its run was deleted in Prefect." in anna.get(f"/deleted/{gone.id}").text
    assert anna.delete(f"/deleted/{gone.id}").status_code == 200
    assert [(one.action, one.who) for one in custody_log.entries(gone.folder)] == [(custody_log.DELETED, "anna")]
    assert [verify(package).valid for package in desk.out.iterdir()] == [True]
    assert anna.post(f"/deleted/{last.id}/keep").status_code == 200
    assert custody_log.entries(last.folder)[-1].who == "anna"
    rows = {one["job_id"]: one for one in anna.get("/api/deleted").json()["jobs"]}
    assert (gone.id in rows, rows[last.id]["is_kept"], rows[last.id]["store"]) == (False, True, desk.store)
    assert anna.get(f"/deleted/{gone.id}").status_code == 404

    assert run(["delete", last.id, "--yes"]) == 0
    assert custody_log.check_chain(last.folder).is_deleted
    after = jobs.find_deleted(desk.store)
    assert [(job.job_id, job.is_kept) for job in after.jobs if job.store == desk.store] == [(kept.id, True)]


def test_the_stores_of_the_newest_jobs_are_known(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many older jobs there are, the recovery looks into the store of a job that has just run."""
    monkeypatch.setattr("prefect_collect.flows.deleted_jobs.PAGE", 5)
    with deleted_afterwards(desk.name) as client:
        for number in range(20):
            store = {"store": str(desk.folder / f"store-{number}")}
            client.create_flow_run(collect, parameters=store, state=Completed(), tags=[desk.name])
        desk.collected()
        assert desk.store in [known.store.url for known in known_stores(client)]


def test_what_prefect_knows_is_refused(desk: Desk) -> None:
    """Neither choice is there for a job that has its run, nor for an id that no store has."""
    job = desk.collected()
    for choose in (jobs.keep, jobs.delete_evidence):
        with pytest.raises(ActionNotAllowed):
            choose(job.id, store=desk.store)
        with pytest.raises(JobNotFound):
            choose("01900000-0000-7000-8000-000000000000", store=desk.store)
    assert jobs.get(job.id).status is JobStatus.SUCCESSFULLY_COMPLETED


def test_a_process_on_another_machine_has_time_to_stop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that a process on another machine may still work on is not listed, nor deleted, before the time of a lease
    has passed since it was found; then it is.
    """
    job = desk.staged()
    claim_attempt(job.folder, {"host": "elsewhere"})
    for _ in range(2):
        assert job.id not in {one.job_id for one in jobs.find_deleted(desk.store).jobs}
        with pytest.raises(ActionNotAllowed):
            jobs.delete_evidence(job.id, store=desk.store)
    monkeypatch.setattr("prefect_collect.flows.deleted_jobs.LEASE_SECONDS", 0.0)
    assert known(desk)[job.id].status is None
    jobs.delete_evidence(job.id)
    assert job.id not in known(desk)
    assert custody_log.check_chain(job.folder).is_deleted
