"""Jobs that `serve` runs and whose processes are killed: resumed, given up, and never run twice at once."""

from __future__ import annotations

import os
import signal
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

from prefect_collect import jobs
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.flows.settling import MOST_RESUMES
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.acting import operator
from prefect_collect.packages import verify
from prefect_collect.runs.labels import process_of
from prefect_collect.runs.lease import LEASE_SECONDS
from prefect_collect.runs.queries import history
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from prefect_collect.verification import verify_job
from tests import forked
from tests.integration.jobs.every_status import FILES, Desk, named, opened_desk, until, when
from tests.integration.jobs.gated_source import GatedFiles, MortalDirectory
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.conftest import _ROOT
from tests.integration.served.test_auto_exports import require_exported
from tests.integration.served.test_export_buttons import custom_run
from tests.support.run_attempts import check_account, held, unsuccessful

pytestmark = pytest.mark.integration

_CHILD = """
import sys
from prefect_collect import collect
from tests.integration.jobs.gated_source import GatedFiles

root, source, gate, store, name = sys.argv[1:]
collect(GatedFiles(root=root, name=source, gate=gate, pause=600.0), store=store, name=name)
"""


_AT_THE_END: Final = ("result", "state", "left")
"""Between the result and the final state; after the final state; when it is noted that the slot is given back."""

SHARD: Final = 3
"""Items in a shard of a job that is killed again and again."""

_SOON: Final = LEASE_SECONDS - 30
"""Seconds within which no slot comes free because its lease has run out."""


def run_of(job: jobs.Job) -> FlowRun:
    """Return the job's run."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(job.id))


def sharded(desk: Desk, pause: float, items: int = 10) -> GatedFiles:
    """Return the tree in shards of some files, with a pause before each file."""
    return GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, pause=pause, shard_items=items)


def begun(desk: Desk, source: GatedFiles, **options: Any) -> jobs.Job:
    """Return a collection that was handed to the worker."""
    return jobs.start(jobs.draft_collection(source, store=desk.store, concurrency=1, **options).id, here=False)


def committed(job: jobs.Job, attempt: int) -> int:
    """Return how many shards of the attempt are committed."""
    return len(job.folder.parts("ledger", attempt))


def worked_on(job: jobs.Job, attempt: int, shards: int = 0) -> int:
    """Return the id of the process that works on the attempt, once so many of its shards are committed."""
    until(lambda: attempt in job.folder.attempts(), lambda: f"attempt {attempt}; {_described(job)}")
    until(lambda: run_of(job).state_name == str(JobStatus.IN_PROGRESS), "the job to be In progress")
    until(lambda: job.folder.parts("inventory", attempt), "the source to be listed")
    until(lambda: committed(job, attempt) >= shards, "shards")
    pid: int = process_of(run_of(job).labels)["pid"]
    assert job.folder.claimed(attempt)["pid"] == pid
    return pid


def _described(job: jobs.Job) -> str:
    """Return all states of the job, and its labels."""
    with get_client(sync_client=True) as client:
        states = history(client, UUID(job.id))
    told = [f"{state.timestamp:%H:%M:%S.%f} {state.name}: {state.message}" for state in states]
    return "\n".join(["the job's states and notes:", *told, str(run_of(job).labels)])


def recoveries(job: jobs.Job) -> list[tuple[int, str]]:
    """Return the attempt and the status of every recovery that the custody log names."""
    entries = [entry for entry in custody_log.entries(job.folder) if entry.action == "recovered"]
    return [(entry.details["attempt"], entry.details["status"]) for entry in entries]


def require_valid(job: jobs.Job) -> None:
    """Assert that the job passes `prefect-collect verify`, and that its account adds up."""
    verified = verify_job(job.folder)
    assert verified.valid, verified.problems
    # Segments that a kill cut off stay where they are, and are never read; a kill may fall between the end of an
    # attempt and its custody event.
    late = [warning for warning in verified.warnings if not warning.path.startswith("segments/")]
    assert all("was entered late" in warning.what for warning in late), verified.warnings
    check_account(job.folder)


def dying(desk: Desk, moment: str) -> jobs.Job:
    """Hand a collection to the worker; return it when its process has died at that moment (see `gated_source`)."""
    dies = desk.folder / "dies"
    dies.write_text(moment)
    desk.gate.touch()
    job = begun(desk, GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, dies=dies))
    until(lambda: not dies.exists(), "the death of its process")
    return job


@pytest.mark.parametrize("moment", ["pending", "owned", "running", "claimed"])
def test_a_job_whose_process_dies_as_it_starts(desk: Desk, moment: str) -> None:
    """Killed before or after its process is noted, when Prefect says Running, or with its slot, it is resumed."""
    job = when(dying(desk, moment), JobStatus.SUCCESSFULLY_COMPLETED)
    assert len(held(job.folder)) == FILES
    require_valid(job)
    with get_client(sync_client=True) as client:
        until(lambda: SourceQueue(JobKind.COLLECTION, desk.name).read(client).free == 1, "its slot")


@pytest.fixture
def desks(served: PrefectServer, tmp_path: Path) -> Iterator[dict[str, Desk]]:
    """A desk for each moment, whose jobs die at the same time."""
    with served.used(), ExitStack() as stack:
        yield {moment: stack.enter_context(opened_desk(tmp_path / moment)) for moment in _AT_THE_END}


def marker(desk: Desk, moment: str) -> Path:
    """Return a file that has the job's process die at the moment, and is deleted then."""
    (dies := desk.folder / "dies").write_text(moment)
    desk.gate.touch()
    return dies


def _is_gone(path: Path) -> bool:
    return not path.exists()


def _has_free_slot(queue: SourceQueue, client: SyncPrefectClient) -> bool:
    return queue.read(client).free == 1


def require_settled(desks: dict[str, Desk], died: dict[str, jobs.Job]) -> None:
    """Assert that each process has died, and that each job ends by itself with its one attempt, and frees its slot."""
    for moment, job in died.items():
        until(partial(_is_gone, desks[moment].folder / "dies"), f"its death: {moment}")
        job = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
        assert job.result is not None
        assert (job.result.counts.succeeded, len(job.attempts)) == (FILES, 1), moment
        with get_client(sync_client=True) as client:
            until(
                partial(_has_free_slot, SourceQueue(job.kind, desks[moment].name), client),
                f"its slot: {moment}",
                patience=_SOON,
            )


def test_jobs_that_die_as_they_end(desks: dict[str, Desk]) -> None:
    """Collections, and exports of these: the recovery settles each, and no work is done twice.

    The exports that were made with the collections start by themselves.
    """
    died = {
        moment: begun(
            desk, GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, dies=marker(desk, moment)),
            auto_export=AutoExport(destination=str(desk.folder / "by itself")),
        )
        for moment, desk in desks.items()
    }  # fmt: skip
    require_settled(desks, died)
    for job in died.values():
        require_valid(jobs.get(job.id))
        require_exported(job)
    exported = {
        moment: custom_run(
            desk, died[moment], MortalDirectory(path=str(desk.out), dies=marker(desk, moment))
        )
        for moment, desk in desks.items()
    }  # fmt: skip
    require_settled(desks, exported)
    for job in exported.values():
        ended = jobs.get(job.id)
        assert verify_job(ended.folder).valid
        assert ended.result is not None
        assert verify(str(ended.result.package)).valid


@pytest.mark.parametrize("shards", [1, 0], ids=["something collected", "nothing collected"])
def test_a_job_that_is_always_killed_is_given_up(desk: Desk, shards: int) -> None:
    """Each attempt collects what those before it had not committed, and only that.

    After three resumes the job is settled from its committed shards. Retry works, and has resumes of its own.
    """
    job = begun(desk, sharded(desk, 0.6, items=SHARD) if shards else sharded(desk, 60.0))
    for attempt in range(1, MOST_RESUMES + 2):
        os.kill(worked_on(job, attempt, shards), signal.SIGKILL)
    given_up = JobStatus.PARTIALLY_COMPLETED if shards else JobStatus.FAILED
    until(lambda: run_of(job).state_name == str(given_up), "its end, which Prefect calls Crashed first")
    job = jobs.get(job.id)
    assert len(job.attempts) == MOST_RESUMES + 1
    assert job.result is not None
    assert {row["error_code"] for row in unsuccessful(job.folder).values()} == {"worker_lost"}
    assert job.result.counts.succeeded + job.result.counts.not_attempted == job.result.counts.found
    assert job.result.counts.succeeded >= SHARD * shards * (MOST_RESUMES + 1)
    assert NextStep.RETRY in job.next_steps
    told = [(n, "Queued") for n in range(1, MOST_RESUMES + 1)] + [(MOST_RESUMES + 1, str(given_up))]
    until(lambda: recoveries(job) == told, lambda: f"the entries of the recovery; there are {recoveries(job)}")
    with get_client(sync_client=True) as client:
        until(lambda: SourceQueue(JobKind.COLLECTION, desk.name).read(client).free == 1, "its slot")
    jobs.retry(job.id, here=False)
    if shards:
        os.kill(worked_on(job, MOST_RESUMES + 2), signal.SIGKILL)
    desk.gate.touch()
    job = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
    rows, kept = held(job.folder), 0
    assert len(rows) == FILES
    for result in job.attempts[:-1]:
        assert result.status is (JobStatus.PARTIALLY_COMPLETED if kept or result.this_attempt.succeeded else given_up)
        assert result.this_attempt.succeeded == SHARD * committed(job, result.attempt)
        assert sum(row["attempt"] == result.attempt for row in rows.values()) == result.this_attempt.succeeded
        kept += result.this_attempt.succeeded
    assert job.attempts[-1].this_attempt.found == job.attempts[-1].this_attempt.succeeded == FILES - kept
    require_valid(job)


def test_the_next_starts_when_a_process_dies(desk: Desk, served: PrefectServer) -> None:
    """A job that a user ran in a process of their own is settled; its slot goes to the next job."""
    name = f"first-{desk.name}"
    child = forked.Popen(
        [sys.executable, "-c", _CHILD, str(desk.root), desk.name, str(desk.gate), desk.store, name], cwd=_ROOT,
        env={**served.environment(), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    first = when(until(lambda: named(name, JobKind.COLLECTION), "the first"), JobStatus.IN_PROGRESS)
    until(first.folder.moves_data, "its first items")
    second = begun(desk, sharded(desk, 600.0))
    until(lambda: jobs.get(second.id).message.startswith("Waiting for"), "the second in the queue")
    child.kill()
    child.wait()
    desk.gate.touch()
    when(second, JobStatus.SUCCESSFULLY_COMPLETED)
    ended = jobs.get(first.id)
    assert ended.status in (JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED)
    assert recoveries(ended) == [(1, str(ended.status))]
    require_valid(ended)


def made_by_automation(draft: jobs.Job, name: str) -> jobs.Job:
    """Return another run like the draft, made as Prefect's server makes a run for an automation."""
    run = run_of(draft)
    who = {"Prefect-Automation-Id": str(uuid4()), "Prefect-Automation-Name": b64encode(name.encode()).decode()}
    parameters: dict[str, Any] = {**run.parameters, "name": "by automation"}
    with get_client(sync_client=True) as client:
        answer = client._client.post(
            f"/deployments/{run.deployment_id}/create_flow_run", headers=who, json={"parameters": parameters}
        )
    return jobs.get(answer.json()["id"])


def test_the_custody_log_names_who(desk: Desk, tmp_path: Path) -> None:
    """The log names the user of the process, and the maker of the run as Prefect has it; a download is in it too."""
    draft = jobs.draft_collection(desk.source(), store=desk.store)
    job = when(made_by_automation(draft, "every evening"), JobStatus.SUCCESSFULLY_COMPLETED)
    entries = custody_log.entries(job.folder)
    assert [entry.action for entry in entries] == ["created", "started", "ended"]
    assert {entry.who for entry in entries} == {f"{operator()} for prefect:every evening"}
    assert job.record is not None
    assert job.record.created_by == entries[0].who
    package = desk.exported(job)
    home = jobs.download(package.id, tmp_path / "home", desk.store)
    last = custody_log.entries(package.folder)[-1]
    assert (last.action, last.who, last.details["to"]) == ("downloaded", operator(), str(home))
    require_valid(job)
    assert verify_job(package.folder).valid
