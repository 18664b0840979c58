"""kill -9 at every instant of a job's life: the next step settles the job at once and truthfully.

An instant is the moment before a write to Prefect or to a store (see `dying_processes`). A first, undisturbed run
lists the instants; then one process after the other dies at one of them, and one of five ways out is taken: Retry,
Start, Cancel, the next job of the source, the recovery. No wait is longer than docs/deploy.md says: less than a lease.

Here the first instant of each class (see `ways_out`) meets one way out, in turn. With ``INSTANTS=all`` (`make
instants`) every instant meets all five.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from prefect_collect import FileSource, export, jobs
from prefect_collect.flows import settling
from prefect_collect.flows.deploying import ensure_deployments
from prefect_collect.flows.lost_runs import LOST_AFTER
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.runs.source_queue import SourceQueue, give_back
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import open_store
from tests.integration.jobs.dying_processes import WAITS, Died
from tests.integration.jobs.ways_out import (
    ALL,
    LEASED,
    SUCCESS,
    WAYS,
    Scene,
    after,
    check_evidence,
    exports,
    pairs,
    require_free,
    settle,
    through,
)
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import attempt, new_job

pytestmark = pytest.mark.integration

_SLICES: Final = 30 if ALL else 1
_LONG: Final = pytest.mark.timeout(3600 if ALL else 240)
_NOTED: Final = "labels beat,process,source,worker #1"
_CLAIMED: Final = "create ID/attempts/0001.json #1"
_COMMITTED: Final = "create ID/ledger/0001/part-00000.parquet #1"
_QUEUED: Final = "PATCH /flow_runs/ID #2"
"""What a collection writes after it has queued its export."""

_MADE: Final = "POST /deployments/ID/create_flow_run #1"
_EXPORT: Final = ("labels source", "compose", "commit", "create ID/reports", "state COMPLETED")


@pytest.fixture
def scene(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[Scene]:
    """A scene over the server, which this process uses too."""
    with prefect_server.used():
        yield Scene(prefect_server, tmp_path, f"dying-{uuid4().hex[:8]}")


def of_part(met: list[tuple[str, str]], part: int) -> list[tuple[str, str]]:
    """Return one part of the pairs, so that a test stays within its time."""
    return met[part::_SLICES]


def check_collection(scene: Scene, what: str, instant: str, way: str) -> None:
    """Kill a collection of a source of its own at the instant, take the way out, and check the job."""
    one = scene.other()
    died = one.collecting(what, at=instant)
    assert died.code == -9
    if instant.startswith(LEASED) and way == "next job":
        return
    settle(died.runs[-1], way, one.next_job, one)
    if not instant.startswith(LEASED):
        require_free(one, JobKind.COLLECTION, one.next_job)


@_LONG
@pytest.mark.parametrize("part", range(_SLICES))
def test_a_collection(scene: Scene, part: int) -> None:
    """Whenever the process of a collection is killed, the job is settled truthfully at once, and its slot is free."""

    instants = after(scene.other().collecting().writes, "POST /flow_runs/ #1")
    through(of_part(pairs(instants), part), partial(check_collection, scene, "collect"))


@_LONG
def test_a_collection_that_another_flow_calls(scene: Scene) -> None:
    """The same holds once its process is noted; before that it is settled after 90 s without a sign of life.

    The times are those of the server: this process's measure of the server's clock is a few seconds off if it is busy.
    """
    if ALL:
        instants = after(scene.other().collecting("called").writes, _NOTED)
        through(pairs(instants)[2::8], partial(check_collection, scene, "called"))
    else:
        check_collection(scene, "called", _CLAIMED, "cancel")
    called = scene.collecting("called", at=_NOTED).runs[-1]
    with get_client(sync_client=True) as client:
        last_sign = client.read_flow_run(UUID(called)).updated
        assert last_sign is not None
        assert settling.settle(client, UUID(called), last_sign + LOST_AFTER) is None
        said = settling.settle(client, UUID(called), last_sign + LOST_AFTER + timedelta(microseconds=1))
    assert said is not None
    assert "retry it" in said
    settle(called, "retry", scene.next_job, scene)


@_LONG
@pytest.mark.parametrize("part", range(_SLICES))
def test_an_export(scene: Scene, part: int) -> None:
    """The same holds for an export; the instants that it shares with a collection are left to that test."""
    source = FileSource(name=scene.name, root=scene.root)
    folder = new_job(open_store(scene.store), source)
    attempt(folder, source)
    collection = folder.job_id

    def place() -> str:
        return str(scene.folder / f"out-{uuid4().hex[:8]}")

    def exporting(at: str = "") -> Died:
        return scene.run("export", collection, place(), scene.store, at=at)

    def next_job() -> bool:
        return bool(export(collection, place(), store=scene.store, return_state=True).name == str(SUCCESS))

    def check(instant: str, way: str) -> None:
        died = exporting(instant)
        assert died.code == -9
        if not instant.startswith(LEASED):
            settle(died.runs[0], way, next_job, scene)
            require_free(scene, JobKind.EXPORT, next_job)

    instants = after(exporting().writes, "POST /flow_runs/ #1")
    own = [instant for instant in instants if ALL or instant.startswith(_EXPORT)]
    through(of_part(pairs(own, 3), part), check)


def check_worker(scene: Scene, instant: str, way: str) -> None:
    """Kill a worker's process of a collection at the instant, take the way out, and work on as workers do."""
    one = scene.other()
    job = handed_over(one)
    assert one.run("engine", job.id, at=instant).code == -9
    is_closed = jobs.get(job.id).result is not None
    other = handed_over(one) if way == "next job" else job
    with get_client(sync_client=True) as client:
        if way in ("retry", "start", "cancel"):
            one.command(way, job.id)
        else:
            recover(client)
        for _ in range(3):  # one for the job, one for a job parked behind it, and one for that job again
            for run in (job, other):
                if jobs.get(run.id).status is JobStatus.QUEUED:
                    one.run("engine", run.id)
        recover(client)  # as on a host with workers: recovery gives back the slot of a job that had already ended
    ended = {JobStatus.CANCELED, SUCCESS} if way == "cancel" and not is_closed else {SUCCESS}
    for run in (job, other):
        present = jobs.get(run.id)
        assert present.status in ended, f"{present.status}: {present.message}"
        check_evidence(present)
    assert one.free(JobKind.COLLECTION), "the slot is not free"


def handed_over(one: Scene) -> jobs.Job:
    """Return a collection that is queued for a worker."""
    source = FileSource(name=one.name, root=one.root)
    return jobs.start(jobs.draft_collection(source, store=one.store).id, here=False)


@_LONG
@pytest.mark.skipif(not ALL, reason="with INSTANTS=all; otherwise served/test_recovery.py kills at some")
@pytest.mark.parametrize("part", range(_SLICES))
def test_a_collection_of_a_worker(scene: Scene, part: int) -> None:
    """A worker's process is killed, and a worker continues with the settled job."""
    ensure_deployments()
    writes = scene.run("engine", handed_over(scene).id).writes
    instants = after(writes, next(write for write in writes if write.startswith("labels beat,")))
    met = [(instant, way) for instant, way in pairs(instants) if not instant.startswith(LEASED)]
    through(of_part(met, part), partial(check_worker, scene))


@_LONG
def test_a_collection_with_its_export(scene: Scene) -> None:
    """Whenever the process is killed, there is one export; once both are retried, both are successful.

    Here it is killed before the export is made, and when the export has been queued.
    """
    out = str(scene.folder / "auto")

    def check(instant: str, _: str) -> None:
        one = scene.other()
        died = one.collecting("collect", f"{out}-{one.name}", at=instant)
        assert died.code == -9
        said = one.command("retry", died.runs[0])[1]
        assert jobs.get(died.runs[0]).status is SUCCESS, said
        [job] = exports(died.runs[0])
        if job.status is JobStatus.AWAITING_COLLECTION:
            with get_client(sync_client=True) as client:
                recover(client)
            job = jobs.get(job.id)
        job = job if job.status is SUCCESS else jobs.retry(job.id)
        assert job.status is SUCCESS, f"{job.status}: {job.message}"
        check_evidence(job)

    instants = [_MADE, _QUEUED]
    if ALL:
        instants = after(scene.other().collecting("collect", f"{out}-first").writes, "POST /flow_runs/ #1")
    through([(instant, "retry") for instant in instants], check)


@_LONG
def test_a_job_that_is_being_canceled(scene: Scene) -> None:
    """A process that is killed while it stops leaves a job that ends as Canceled, with its receipt."""

    def check(instant: str, way: str) -> None:
        one = scene.other()
        died = one.collecting("canceled", at=instant)
        assert died.code == -9
        settle(died.runs[0], way, one.next_job, one, canceled=True)
        require_free(one, JobKind.COLLECTION, one.next_job)

    met = [(_COMMITTED, "retry"), ("state CANCELLED Canceled #1", "start")]
    if ALL:
        met = pairs(after(scene.other().collecting("canceled").writes, "labels canceled-by #1"))
    through(met, check)


@_LONG
def test_a_process_that_waits_for_its_turn(scene: Scene) -> None:
    """A killed job that waited for its turn keeps no other job from its turn, and is settled like any other job."""

    def check(_: str, way: str) -> None:
        one = scene.other()
        with get_client(sync_client=True) as client:
            queue = SourceQueue(JobKind.COLLECTION, one.name)
            queue.read(client)
            lease = queue.take(client, uuid4())
            assert lease is not None
            died = one.collecting("waiting", at=f"{WAITS} #1")
            assert died.code == -9
            assert jobs.get(died.runs[0]).status is JobStatus.QUEUED
            give_back(client, lease, queue)
        settle(died.runs[0], way, one.next_job, one)
        require_free(one, JobKind.COLLECTION, one.next_job)

    through([(WAITS, way) for way in (WAYS if ALL else WAYS[1:2])], check)


@_LONG
def test_a_draft_that_is_made_and_edited(scene: Scene) -> None:
    """After a kill at any write, the draft can be started or deleted, and has at most one export."""

    def check(instant: str, way: str) -> None:
        one = scene.other()
        died = one.run("draft", str(one.root), one.name, one.store, str(scene.folder / one.name), at=instant)
        assert died.code == -9
        job = jobs.get(died.runs[0])
        assert (job.status, job.source) == (JobStatus.DRAFTED, one.name)
        assert len(exports(job.id)) <= 1
        if way == "delete":
            jobs.delete(job.id)
            assert all(export.status is JobStatus.FAILED for export in exports(job.id))
            return
        assert jobs.start(job.id, here=True).status is SUCCESS
        [export] = exports(job.id)
        assert export.status is SUCCESS

    first = scene.run("draft", str(scene.root), scene.name, scene.store, str(scene.folder / "first")).writes
    instants = after(first, _MADE)
    met = [(instant, ("start", "delete")[number % 2]) for number, instant in enumerate(instants)]
    through([(instant, way) for instant, _ in met for way in ("start", "delete")] if ALL else met[1::6], check)


@_LONG
def test_a_deletion(scene: Scene) -> None:
    """What a killed process has not deleted is deleted by the next deletion."""

    def check(instant: str, _: str) -> None:
        job_id = scene.collected().id
        assert scene.run("delete", job_id, at=instant).code == -9
        jobs.delete(job_id)
        with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
            client.read_flow_run(UUID(job_id))
        assert [path.parent.name for path in Path(scene.store, job_id).rglob("*.*")] == ["custody"]

    instants = scene.run("delete", scene.collected().id).writes[:-1]
    some = instants if ALL else [instants[1], instants[-1]]
    through([(instant, "delete") for instant in some], check)
