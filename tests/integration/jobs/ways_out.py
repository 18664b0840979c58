"""The steps that settle a job whose process was killed, and what is checked after each: see `test_instants`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from prefect.client.orchestration import get_client

from prefect_collect import FileSource, cli, collect, jobs
from prefect_collect.cli._exits import exit_code
from prefect_collect.flows.auto_exports import exports_of
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.packages import verify
from prefect_collect.runs.queries import status_of
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from prefect_collect.verification import verify_job
from tests.integration.jobs.dying_processes import PATIENCE, Died, run_dying
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account

WAYS: Final = ("retry", "next job", "cancel", "recovery", "start")
ALL: Final = os.environ.get("INSTANTS") == "all"
SUCCESS: Final = JobStatus.SUCCESSFULLY_COMPLETED
_CLASSES: Final = {
    "taken up": ("PATCH /flow_runs/", "labels beat,", "state RUNNING Running"),
    "recorded": ("create ID/job.json", "create ID/custody/"),
    "its place in the queue": ("labels queued,", "POST /v2/concurrency_limits/ ", "POST /v2/concurrency_limits/incr"),
    "claimed": ("create ID/attempts/", "labels attempt ", "state RUNNING In progress"),
    "worked on": (
        "create ID/inventory/",
        "commit ",
        "compose ",
        "create ID/ledger/",
        "POST /artifacts",
        "PATCH /artifacts",
    ),
    "closed": ("create ID/manifest/", "create ID/reports/", "create ID/evidence/"),
    "told": ("labels bytes,", "state COMPLETED"),
    "ended": ("POST /v2/concurrency_limits/leases/", "labels canceled-by,"),
    "given back": ("POST /v2/concurrency_limits/decr", "the end"),
}
"""Classes of writes after which a job is settled alike, by how their names begin; any other write is its own class."""

LEASED: Final = "labels lease #"
"""Before this write the slot is taken, and only the server knows its lease: it comes free when that ends (90 s)."""


@dataclass(frozen=True)
class Scene:
    """A tree of five files, a staging store, and the processes that work on them."""

    server: PrefectServer
    folder: Path
    name: str

    @property
    def store(self) -> str:
        """The path of the staging store."""
        return str(self.folder / "store")

    @property
    def root(self) -> Path:
        """The tree's folder."""
        root = self.folder / "root"
        if not root.exists():
            root.mkdir(parents=True)
            for n in range(5):
                (root / f"{n}.txt").write_text(f"content {n}")
        return root

    def other(self) -> Scene:
        """Return another source of the same tree, in the same store, which has had no job."""
        return Scene(self.server, self.folder, f"dying-{uuid4().hex[:8]}")

    def run(self, what: str, *words: str, at: str = "") -> Died:
        """Run a scene in a process; see `run_dying`."""
        return run_dying(self.server.environment(), self.folder / "reports", what, *words, at=at)

    def collecting(self, what: str = "collect", *more: str, at: str = "") -> Died:
        """Run a collection in a process."""
        return self.run(what, str(self.root), self.name, self.store, *more, at=at)

    def collected(self) -> jobs.Job:
        """Run a collection in this process to its end, and return it."""
        source = FileSource(name=self.name, root=self.root)
        state = collect(source=source, store=self.store, name=self.name, return_state=True)
        return jobs.get(str(state.state_details.flow_run_id))

    def next_job(self) -> bool:
        """Run a collection in this process; return whether it is successful."""
        return self.collected().status is SUCCESS

    def command(self, *words: str) -> tuple[int, str]:
        """Run a command of the command line in this process; return its exit code and what it prints."""
        said = StringIO()
        with redirect_stdout(said), redirect_stderr(said), within_a_lease():
            return cli.run([*words]), said.getvalue()

    def free(self, kind: JobKind) -> bool:
        """Return whether the next job of the source would start at once."""
        with get_client(sync_client=True) as client:
            queue = SourceQueue(kind, self.name).read(client)
        return queue.free == 1 and not queue.waiting and not queue.holding


@contextmanager
def within_a_lease() -> Iterator[None]:
    """Fail if what runs takes so long that a lease may have ended: nothing is to be settled because of that."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < PATIENCE, f"it took more than {PATIENCE} s"


def pairs(instants: list[str], turn: int = 0) -> list[tuple[str, str]]:
    """Return instants, each with a way out: all pairs, or the first instant of each class with one way in turn."""
    if ALL:
        return [(instant, way) for instant in instants for way in WAYS]
    first = {_class_of(instant): instant for instant in reversed(instants)}
    wanted = [instant for instant in instants if instant in first.values()]
    return [(instant, WAYS[(turn + number) % len(WAYS)]) for number, instant in enumerate(wanted)]


def _class_of(instant: str) -> str:
    of = next((name for name, starts in _CLASSES.items() if instant.startswith(starts)), instant)
    return re.sub(r"[0-9]+|#.*", "", of)


def through(met: Iterable[tuple[str, str]], check: Callable[[str, str], None]) -> None:
    """Check all pairs, and fail with every error."""
    failed, number = [], 0
    for instant, way in met:
        number += 1
        try:
            check(instant, way)
        except Exception as error:
            failed.append(f"killed before {instant!r}, then {way}: {type(error).__name__}: {error}")
    assert number, "nothing was checked"
    assert not failed, f"{len(failed)} of {number}:\n\n" + "\n\n".join(failed)


def after(instants: list[str], instant: str) -> list[str]:
    """Return the instants after that one, with which a job's life begins."""
    return instants[instants.index(instant) + 1 :]


def settle(job_id: str, way: str, next_job: Callable[[], bool], scene: Scene, *, canceled: bool = False) -> None:
    """Take the way out, and check its exit code and the job's status against what the killed process left.

    `canceled`: the process had been asked to stop before it was killed.
    """
    before = jobs.get(job_id)
    expected, codes = _expected(before, way, canceled=canceled)
    code, said = None, ""
    if way == "recovery":
        with get_client(sync_client=True) as client:
            recover(client)
    elif way == "next job":
        with within_a_lease():
            assert next_job()
    else:
        code, said = scene.command(way, job_id)
    job = jobs.get(job_id)
    told = f"{before.status} became {job.status} ({job.message}), exit code {code} {said}"
    assert job.status in expected, told
    assert code is None or code in codes or code == exit_code(job.status) != 0, told
    check_evidence(job)


def _expected(before: jobs.Job, way: str, *, canceled: bool) -> tuple[set[JobStatus | None], set[int]]:
    """Return the statuses that the job may have then, and the exit codes of the command besides that of the status."""
    closed = before.result
    if before.status not in (JobStatus.QUEUED, JobStatus.IN_PROGRESS):  # Prefect has its end
        if way in ("retry", "start", "cancel") and NextStep(way.capitalize()) in before.next_steps:
            return {SUCCESS}, {0}
        return {before.status}, {2}
    if closed is not None:  # its result is kept
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
    """Assert that the state, the last result and the account agree, and that the chain of the custody log is whole."""
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


def require_free(scene: Scene, kind: JobKind, next_job: Callable[[], bool]) -> None:
    """Assert that the slot is free, or that the next job frees it."""
    if not scene.free(kind):
        with within_a_lease():
            assert next_job()
        assert scene.free(kind), "the slot is not free"


def exports(job_id: str) -> list[jobs.Job]:
    """Return the exports that were made with the collection."""
    with get_client(sync_client=True) as client:
        return [jobs.get(run.id) for run in exports_of(client, UUID(job_id))]
