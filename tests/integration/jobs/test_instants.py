"""kill -9 at every instant of a job's life: whoever comes next settles it, at once, and what is settled is true.

An instant is the moment before a write to Prefect or to a store (see `dying`). A first run, which nothing disturbs,
lists them; then one process after the other dies at one of them, and one of five ways out is taken: Retry, Start,
Cancel, the next job of the source, the recovery. No wait is longer than what docs/deploy.md says: less than a lease.

Here the first instant of each class (what is written) meets one way out, by turns. With ``INSTANTS=all`` (`make
instants`) every instant meets all five.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from prefect_collect import FileSource, collect, jobs
from prefect_collect.cli._exits import exit_code
from prefect_collect.evidence import verify_job
from prefect_collect.flows._follow_up import exports_of
from prefect_collect.flows._recovering import recover
from prefect_collect.packages import verify
from prefect_collect.runs._line import Line, give_back
from prefect_collect.runs._reading import status_of
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from tests.engine.driving import check_account
from tests.integration.jobs.dying import WAITS, Died, run_dying
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

WAYS: Final = ("retry", "next job", "cancel", "recovery", "start")
ALL: Final = os.environ.get("INSTANTS") == "all"
SUCCESS: Final = JobStatus.SUCCESSFULLY_COMPLETED
_SLICES: Final = 3
_LONG: Final = pytest.mark.timeout(3600 if ALL else 240)
_EXPORT: Final = ("labels source", "create", "compose", "commit", "state COMPLETED")
_LEASED: Final = "labels lease #"
"""Before it, the slot is taken, and only the server knows by which lease: it comes free when that runs out (90 s)."""


@dataclass(frozen=True)
class Scene:
    """A tree of five files, a staging store, and the processes that work on them."""

    server: PrefectServer
    folder: Path
    name: str

    @property
    def store(self) -> str:
        """The staging store."""
        return str(self.folder / "store")

    @property
    def root(self) -> Path:
        """The tree."""
        root = self.folder / "root"
        if not root.exists():
            root.mkdir(parents=True)
            for n in range(5):
                (root / f"{n}.txt").write_text(f"content {n}")
        return root

    def other(self) -> Scene:
        """Another source of the same tree, in the same store, which no job has been run on."""
        return Scene(self.server, self.folder, f"dying-{uuid4().hex[:8]}")

    def run(self, what: str, *words: str, at: str = "") -> Died:
        """A process that does it; see `run_dying`."""
        return run_dying(self.server, self.folder / "reports", what, *words, at=at)

    def collecting(self, what: str = "collect", *more: str, at: str = "") -> Died:
        """A collection."""
        return self.run(what, str(self.root), self.name, self.store, *more, at=at)

    def command(self, *words: str) -> Died:
        """A command of the command line."""
        return self.run("command", *words)

    def free(self, kind: JobKind) -> bool:
        """Whether the next job of the source would start at once."""
        with get_client(sync_client=True) as client:
            standing = Line(kind, self.name).read(client)
        return standing.free == 1 and not standing.waiting and not standing.holding


@pytest.fixture
def scene(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[Scene]:
    """A scene over the server, which this process uses too."""
    with prefect_server.used():
        yield Scene(prefect_server, tmp_path, f"dying-{uuid4().hex[:8]}")


def pairs(instants: list[str], turn: int = 0) -> list[tuple[str, str]]:
    """Instants, each with a way out that it is to meet: all of them, or the first of each class with one by turns."""
    if ALL:
        return [(instant, way) for instant in instants for way in WAYS]
    first = {_class_of(instant): instant for instant in reversed(instants)}
    wanted = [instant for instant in instants if instant in first.values()]
    return [(instant, WAYS[(turn + number) % len(WAYS)]) for number, instant in enumerate(wanted)]


def _class_of(instant: str) -> str:
    if instant.startswith(("PATCH /flow_runs/", "POST /v2/concurrency_limits/ ")):
        return "tags"
    return "artifact" if "/artifacts/" in instant else re.sub(r"[0-9]+|#.*", "", instant)


def through(met: Iterable[tuple[str, str]], check: Callable[[str, str], None]) -> None:
    """Check all of them, and fail with all that went wrong."""
    failed, number = [], 0
    for instant, way in met:
        number += 1
        try:
            check(instant, way)
        except Exception as error:
            failed.append(f"killed before {instant!r}, then {way}: {type(error).__name__}: {error}")
    assert number, "nothing was checked"
    assert not failed, f"{len(failed)} of {number}:\n\n" + "\n\n".join(failed)


def of_part(met: list[tuple[str, str]], part: int) -> list[tuple[str, str]]:
    """Every third, so that a test is done in its time."""
    return met[part::_SLICES]


def after(instants: list[str], instant: str) -> list[str]:
    """The instants after that one, which a job's life begins with."""
    return instants[instants.index(instant) + 1 :]


def settle(job_id: str, way: str, next_job: Callable[[], Died], scene: Scene, *, canceled: bool = False) -> None:
    """Take the way out, and hold what it says and leaves against what the killed process left.

    `canceled`: the process had been asked to stop before.
    """
    before = jobs.get(job_id)
    expected, codes = _expected(before, way, canceled=canceled)
    if way == "recovery":
        with get_client(sync_client=True) as client:
            recover(client)
        code, said = None, ""
    elif way == "next job":
        died = next_job()
        assert died.code == 0, died.said
        code, said = None, ""
    else:
        died = scene.command(way, job_id)
        code, said = died.code, died.said
    job = jobs.get(job_id)
    told = f"{before.status} became {job.status} ({job.message}), exit code {code} {said}"
    assert job.status in expected, told
    assert code is None or code in codes or code == exit_code(job.status) != 0, told
    check_evidence(job)


def _expected(before: jobs.Job, way: str, *, canceled: bool) -> tuple[set[JobStatus | None], set[int]]:
    """The statuses that the job may have then, and the exit codes of the command besides that of the status."""
    closed = before.result
    if before.status not in (JobStatus.QUEUED, JobStatus.IN_PROGRESS):  # Prefect was told of its end
        if way in ("retry", "start", "cancel") and NextStep(way.capitalize()) in before.next_steps:
            return {SUCCESS}, {0}
        return {before.status}, {2}
    if closed is not None:  # its result stands
        goes_on = way == "start" if closed.status is JobStatus.CANCELED else False
        return {SUCCESS if goes_on else closed.status}, {0}
    if canceled:
        return ({SUCCESS} if way == "start" else {JobStatus.CANCELED, SUCCESS}), {0}
    if way == "retry":
        return {SUCCESS}, {0}
    if way == "cancel":
        return {JobStatus.CANCELED, SUCCESS}, {0}
    return {JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED, SUCCESS}, {0}


def check_evidence(job: jobs.Job) -> None:
    """The state, the last result and the account agree; the chain of the evidence is whole."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(job.id))
    assert (run.state_name, status_of(job.kind, run)) == (str(job.status), job.status)
    if job.result is None:
        assert job.status in (JobStatus.FAILED, JobStatus.CANCELED)
        return
    counts = job.result.counts
    assert counts.found == counts.succeeded + counts.failed + counts.skipped + counts.not_attempted
    assert job.result.status is job.status
    verified = verify_job(job.folder)
    assert verified.valid, verified.problems
    if job.kind is JobKind.COLLECTION:
        check_account(job.folder)
    elif job.status is SUCCESS:
        assert verify(str(job.result.package)).valid


def require_free(scene: Scene, kind: JobKind, next_job: Callable[[], Died]) -> None:
    """The slot is free, or whoever wants it next frees it."""
    if not scene.free(kind):
        following = next_job()
        assert following.code == 0, following.said
        assert scene.free(kind), "the slot is not free"


def exports(job_id: str) -> list[jobs.Job]:
    """The exports that were made with the collection."""
    with get_client(sync_client=True) as client:
        return [jobs.get(run.id) for run in exports_of(client, UUID(job_id))]


@_LONG
@pytest.mark.parametrize("part", range(_SLICES))
def test_a_collection(scene: Scene, part: int) -> None:
    """Whenever the process of a collection is killed, it is settled in truth at once, and its slot is free."""

    def check(instant: str, way: str) -> None:
        one = scene.other()
        died = one.collecting(at=instant)
        assert died.code == -9
        if instant.startswith(_LEASED) and way == "next job":
            return
        settle(died.runs[0], way, one.collecting, one)
        if not instant.startswith(_LEASED):
            require_free(one, JobKind.COLLECTION, one.collecting)

    instants = after(scene.other().collecting().writes, "POST /flow_runs/ #1")
    through(of_part(pairs(instants), part), check)


@_LONG
@pytest.mark.parametrize("part", range(_SLICES))
def test_an_export(scene: Scene, part: int) -> None:
    """The same for an export; what every job does was seen with a collection."""
    collection = scene.collecting().runs[0]

    def exporting(at: str = "") -> Died:
        return scene.run("export", collection, str(scene.folder / f"out-{uuid4().hex[:8]}"), scene.store, at=at)

    def check(instant: str, way: str) -> None:
        died = exporting(instant)
        assert died.code == -9
        if not instant.startswith(_LEASED):
            settle(died.runs[0], way, exporting, scene)
            require_free(scene, JobKind.EXPORT, exporting)

    instants = after(exporting().writes, "POST /flow_runs/ #1")
    own = [instant for instant in instants if ALL or instant.startswith(_EXPORT)]
    through(of_part(pairs(own, 3), part), check)


@_LONG
def test_a_collection_with_its_export(scene: Scene) -> None:
    """There is one export, whenever the process is killed; when both were retried, both are successful."""
    out = str(scene.folder / "auto")

    def check(instant: str, _: str) -> None:
        one = scene.other()
        died = one.collecting("collect", f"{out}-{one.name}", at=instant)
        assert died.code == -9
        done = one.command("retry", died.runs[0])
        assert jobs.get(died.runs[0]).status is SUCCESS, done.said
        [job] = exports(died.runs[0])
        if job.status is JobStatus.AWAITING_COLLECTION:
            with get_client(sync_client=True) as client:
                recover(client)
            job = jobs.get(job.id)
        job = job if job.status is SUCCESS else jobs.retry(job.id)
        assert job.status is SUCCESS, f"{job.status}: {job.message}"
        check_evidence(job)

    instants = after(scene.other().collecting("collect", f"{out}-first").writes, "POST /flow_runs/ #1")
    made = instants.index("POST /deployments/ID/create_flow_run #1")
    begun = instants.index("state SCHEDULED Queued #1")
    some = [*instants[made : made + 2], *instants[begun - 1 : begun + 2]]
    through([(instant, "retry") for instant in (instants if ALL else some)], check)


@_LONG
def test_a_job_that_is_being_canceled(scene: Scene) -> None:
    """A process that is killed while it stops leaves a job that ends as Canceled, with its receipt."""

    def check(instant: str, way: str) -> None:
        one = scene.other()
        died = one.collecting("canceled", at=instant)
        assert died.code == -9
        settle(died.runs[0], way, one.collecting, one, canceled=True)
        require_free(one, JobKind.COLLECTION, one.collecting)

    instants = after(scene.other().collecting("canceled").writes, "labels canceled-by #1")
    through(pairs(instants) if ALL else pairs(instants)[::5], check)


@_LONG
def test_a_process_that_waits_for_its_turn(scene: Scene) -> None:
    """A killed one keeps no other from its turn, and is settled like any other."""

    def check(_: str, way: str) -> None:
        one = scene.other()
        with get_client(sync_client=True) as client:
            line = Line(JobKind.COLLECTION, one.name)
            line.read(client)
            lease = line.take(client, uuid4())
            assert lease is not None
            died = one.collecting("waiting", at=f"{WAITS} #1")
            assert died.code == -9
            assert jobs.get(died.runs[0]).status is JobStatus.QUEUED
            give_back(client, lease)
        settle(died.runs[0], way, one.collecting, one)
        require_free(one, JobKind.COLLECTION, one.collecting)

    through([(WAITS, way) for way in (WAYS if ALL else WAYS[:2])], check)


@_LONG
def test_a_draft_that_is_made_and_edited(scene: Scene) -> None:
    """Whatever was written, the draft can be started or deleted, and has one export at most."""

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
    instants = after(first, "POST /deployments/ID/create_flow_run #1")
    met = [(instant, ("start", "delete")[number % 2]) for number, instant in enumerate(instants)]
    through([(instant, way) for instant, _ in met for way in ("start", "delete")] if ALL else met[1::4], check)


@_LONG
def test_a_deletion(scene: Scene) -> None:
    """What a killed process has not deleted is deleted by the next one."""
    source = FileSource(name=scene.name, root=scene.root)

    def collected() -> str:
        state = collect(source, store=scene.store, return_state=True)
        return str(state.state_details.flow_run_id)

    def check(instant: str, _: str) -> None:
        job_id = collected()
        assert scene.run("delete", job_id, at=instant).code == -9
        jobs.delete(job_id)
        with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
            client.read_flow_run(UUID(job_id))
        assert [path.parent.name for path in Path(scene.store, job_id).rglob("*.*")] == ["custody"]

    instants = scene.run("delete", collected()).writes[:-1]
    some = instants if ALL else [instants[1], *instants[-2:]]
    through([(instant, "delete") for instant in some], check)
