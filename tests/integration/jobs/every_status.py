"""Brings jobs to each documented status with real runs, takes each next step, and checks what comes of it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DirectoryStoreBlock, FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.job_folder import store_keys
from prefect_collect.runs.labels import process_labels
from prefect_collect.statuses import JobKind, JobStatus, NextStep
from prefect_collect.stores import open_store
from prefect_collect.threads.stop import Stop
from tests.integration.jobs.gated_source import GatedFiles
from tests.support.run_attempts import attempt, new_job

FILES = 40
PATIENCE = 150.0
"""Seconds. Prefect's server on SQLite stands still for a minute at times (3.8: a lock that ends by `busy_timeout`)."""


def until(
    condition: Callable[[], Any], what: str | Callable[[], str], every: float = 0.5, patience: float = PATIENCE
) -> Any:
    """Wait until the condition holds, and return its value. A check costs CPU time, as it mostly asks Prefect.

    So the pauses between the checks grow with the wait, to a tenth of it.
    """
    started = time.monotonic()
    deadline = started + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for: {what if isinstance(what, str) else what()}"
        time.sleep(max(every, (time.monotonic() - started) / 10))
    return found


def gone_process() -> dict[str, str]:
    """Return labels that name a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return {**process_labels(), "process.pid": str(process.pid), "process.pid_started": "1"}


def named(name: str, kind: JobKind) -> jobs.Job | None:
    """Return the job of that kind and name."""
    only = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
    with get_client(sync_client=True) as client:
        found = [jobs.get(run.id) for run in client.read_flow_runs(flow_run_filter=only)]
    return next((job for job in found if job.kind is kind), None)


@dataclass
class Desk:
    """A tree of files, a staging store, a folder for packages, and the threads that run jobs for a test.

    `gate` ends the pauses of the slow source and the slow destination. `mend` removes the cause of a failure, so that
    the next attempt succeeds.
    """

    folder: Path
    mend: Callable[[], object] = lambda: None
    name: str = field(default_factory=lambda: f"desk-{uuid4().hex[:8]}")
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The tree's folder."""
        root = self.folder / "root"
        if not root.exists():
            root.mkdir(parents=True)
            for n in range(FILES):
                (root / f"{n:02d}.txt").write_text(f"content {n}")
        return root

    @property
    def store(self) -> str:
        """The path of the staging store."""
        return str(self.folder / "store")

    @property
    def out(self) -> Path:
        """The folder of packages."""
        return self.folder / "out"

    @property
    def gate(self) -> Path:
        """The slow source and the slow destination stop pausing when this file exists."""
        return self.folder / "gate"

    def source(self, **fields: Any) -> FileSource:
        """Return the tree as a source that answers at once."""
        return FileSource(name=self.name, root=self.root, follow_symlinks=True, **fields)

    def slow(self) -> GatedFiles:
        """Return the tree as a source with pauses, which last longer than any test."""
        return GatedFiles(name=self.name, root=self.root, gate=self.gate, pause=600.0)

    def break_one(self) -> None:
        """Put an item into the tree that cannot be read until `mend` is called."""
        broken = self.root / "broken"
        broken.symlink_to("nothing")

        def mend() -> None:
            broken.unlink()
            broken.write_text("mended")

        self.mend = mend

    def lose_root(self) -> None:
        """Move the tree away until `mend` is called."""
        self.root.rename(self.folder / "away")
        self.mend = lambda: (self.folder / "away").rename(self.folder / "root")

    def lose_segment(self, collection: jobs.Job) -> None:
        """Move a segment of the collection away until `mend` is called."""
        key = store_keys.segment_key(collection.id, store_keys.segment_name(1, 1))
        segment = Path(collection.folder.store.locate(key))
        segment.rename(self.folder / "segment")
        self.mend = lambda: (self.folder / "segment").rename(segment)

    def take_name(self, collection: jobs.Job) -> None:
        """Put a file where the collection's package would be, until `mend` is called."""
        assert collection.record is not None
        taken = self.out / f"{collection.record.package_base}.zip"
        self.out.mkdir()
        taken.write_text("mine")
        self.mend = taken.unlink

    def collected(self, source: FileSource | None = None) -> jobs.Job:
        """Run a collection to its end, and return it."""
        state = collect(source=source or self.source(), store=self.store, return_state=True)
        return jobs.get(str(state.state_details.flow_run_id))

    def staged(self, source: FileSource | None = None, stop: Stop | None = None) -> jobs.Job:
        """Return a collection that was made without Prefect: as one whose run is no longer kept."""
        source = source or self.source()
        folder = new_job(open_store(self.store), source)
        attempt(folder, source, stop=stop)
        return jobs.get(folder.job_id, self.store)

    def exported(self, collection: jobs.Job, out: Path | None = None) -> jobs.Job:
        """Run an export to its end, and return it."""
        state = export(collection.id, str(out or self.out), store=self.store, return_state=True)
        return jobs.get(str(state.state_details.flow_run_id))

    def in_background(self, kind: JobKind, call: Callable[[str], object]) -> jobs.Job:
        """Run `call` with a new name in a thread, and return the job of that name as soon as Prefect has it."""
        name = f"{kind.value}-{uuid4().hex[:8]}"
        thread = threading.Thread(target=call, args=(name,), daemon=True)
        thread.start()
        self._threads.append(thread)
        found: jobs.Job = until(lambda: named(name, kind), f"the {kind} {name}")
        return found

    def collecting(self) -> jobs.Job:
        """Return a slow collection that runs in the background."""
        return self.in_background(
            JobKind.COLLECTION,
            lambda name: collect(source=self.slow(), store=self.store, name=name, return_state=True),
        )

    def exporting(self, collection: jobs.Job) -> jobs.Job:
        """Return a slow export that runs in the background."""
        to = self.folder / f"slow-{uuid4().hex[:8]}"
        return self.in_background(
            JobKind.EXPORT, lambda name: export(collection.id, str(to), name=name, store=self.store, return_state=True)
        )

    def close(self) -> None:
        """Let all running jobs come to their ends."""
        self.gate.touch()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@contextmanager
def opened_desk(folder: Path) -> Iterator[Desk]:
    """Yield a desk, where exports to folders called slow pause until its gate exists (see `gated_source`)."""
    desk = Desk(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(enumeration, "SHARD_ITEMS", FILES // 2)  # each shard costs Prefect as much as three requests
        stack.callback(desk.close)
        yield desk


def status_of(job: jobs.Job) -> JobStatus | None:
    """Return the job's present status."""
    return jobs.get(job.id).status


def when(job: jobs.Job, status: JobStatus) -> jobs.Job:
    """Return the job as soon as it has that status."""
    until(lambda: status_of(job) is status, lambda: f"{status}; it is {jobs.get(job.id)}")
    return jobs.get(job.id)


def reach(desk: Desk, kind: JobKind, status: JobStatus) -> jobs.Job:
    """Return a job in that status."""
    return (_COLLECTIONS if kind is JobKind.COLLECTION else _EXPORTS)[status](desk)


def _drafted(desk: Desk) -> jobs.Job:
    return jobs.draft_collection(desk.source(), store=desk.store)


def one_behind_another(desk: Desk, kind: JobKind) -> tuple[jobs.Job, jobs.Job]:
    """Return a job that is In progress, and one of the same source that is Queued behind it."""
    if kind is JobKind.COLLECTION:
        return _in_progress(desk), _in_line(when(desk.collecting(), JobStatus.QUEUED))
    collection = desk.staged()
    running = _moving(desk.exporting(collection))
    return running, _in_line(when(desk.exporting(collection), JobStatus.QUEUED))


def _queued(desk: Desk) -> jobs.Job:
    return one_behind_another(desk, JobKind.COLLECTION)[1]


def _in_line(job: jobs.Job) -> jobs.Job:
    until(lambda: "Waiting for" in jobs.get(job.id).message, "what it waits for")
    until(lambda: (place := jobs.place_in_queue(job)) and (len(place.holders), place.before) == (1, 0), "its place")
    return jobs.get(job.id)


def _in_progress(desk: Desk) -> jobs.Job:
    return _moving(desk.collecting())


def _moving(job: jobs.Job) -> jobs.Job:
    until(job.folder.moves_data, "its first items")
    return when(job, JobStatus.IN_PROGRESS)


def _successful(desk: Desk) -> jobs.Job:
    return desk.collected()


def _partial(desk: Desk) -> jobs.Job:
    desk.break_one()
    return desk.collected()


def _failed(desk: Desk) -> jobs.Job:
    source = desk.source()
    desk.lose_root()
    return desk.collected(source)


def _canceled(desk: Desk) -> jobs.Job:
    return _stopped_by_user(desk, _in_progress(desk))


def _stopped_by_user(desk: Desk, job: jobs.Job) -> jobs.Job:
    jobs.cancel(job.id)
    desk.mend = desk.gate.touch
    return when(job, JobStatus.CANCELED)


def _awaiting(desk: Desk) -> jobs.Job:
    draft = jobs.draft_collection(
        desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out), name="awaiting")
    )
    with get_client(sync_client=True) as client:
        (run,) = exports_of(client, UUID(draft.id))
    return jobs.get(run.id)


def _export_in_progress(desk: Desk) -> jobs.Job:
    return _moving(desk.exporting(desk.staged()))


def _export_queued(desk: Desk) -> jobs.Job:
    return one_behind_another(desk, JobKind.EXPORT)[1]


def _export_successful(desk: Desk) -> jobs.Job:
    return desk.exported(desk.staged())


def _export_partial(desk: Desk) -> jobs.Job:
    collection = desk.staged()
    desk.lose_segment(collection)
    return desk.exported(collection)


def _export_failed(desk: Desk) -> jobs.Job:
    collection = desk.staged()
    desk.take_name(collection)
    return desk.exported(collection)


def _export_canceled(desk: Desk) -> jobs.Job:
    return _stopped_by_user(desk, _export_in_progress(desk))


_COLLECTIONS = {
    JobStatus.DRAFTED: _drafted,
    JobStatus.QUEUED: _queued,
    JobStatus.IN_PROGRESS: _in_progress,
    JobStatus.SUCCESSFULLY_COMPLETED: _successful,
    JobStatus.PARTIALLY_COMPLETED: _partial,
    JobStatus.FAILED: _failed,
    JobStatus.CANCELED: _canceled,
}
_EXPORTS = {
    JobStatus.AWAITING_COLLECTION: _awaiting,
    JobStatus.QUEUED: _export_queued,
    JobStatus.IN_PROGRESS: _export_in_progress,
    JobStatus.SUCCESSFULLY_COMPLETED: _export_successful,
    JobStatus.PARTIALLY_COMPLETED: _export_partial,
    JobStatus.FAILED: _export_failed,
    JobStatus.CANCELED: _export_canceled,
}


def take(desk: Desk, job: jobs.Job, step: NextStep) -> Any:
    """Take the step as a user does from Python, and return what the call returns."""
    if step is NextStep.EXPORT:
        return export(job.id, DirectoryStoreBlock(path=str(desk.out)), store=desk.store)
    if step is NextStep.DOWNLOAD:
        return jobs.download(job.id, desk.folder / "home", desk.store)
    if step is NextStep.PREVIEW:
        return jobs.preview(job.id, store=desk.store)
    return {
        NextStep.START: jobs.start,
        NextStep.RETRY: jobs.retry,
        NextStep.CANCEL: jobs.cancel,
        NextStep.DELETE: jobs.delete,
    }[step](job.id)
