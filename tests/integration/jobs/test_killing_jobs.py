"""Jobs whose process is killed, interrupted or terminated, as Prefect shows them, and their next steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus, NextStep, TaskStatus
from prefect_collect.stores import open_store
from tests import forked
from tests.integration.jobs import job_child
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]


def child(server: PrefectServer, *words: str | os.PathLike[str]) -> tuple[subprocess.Popen[str], str]:
    """Return a process that runs a job, and the job's id, once the job works on its items."""
    process = forked.Popen(
        [sys.executable, job_child.__file__, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=_ROOT, env={**server.environment(), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    job_id = process.stdout.readline().strip()
    assert job_id, process.communicate()
    return process, job_id


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of 300 files."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(300):
        (root / f"{n:03d}").write_text(f"content {n}")
    return root


def collected_so_far(job: jobs.Job) -> int:
    """Return how many shards are committed."""
    return len(job.folder.parts("ledger", job.folder.attempts()[-1]))


def wait_for_shards(job_id: str, number: int) -> None:
    """Wait until that many shards are committed."""
    job = jobs.get(job_id)
    while not job.folder.attempts() or collected_so_far(job) < number:
        time.sleep(0.01)


def test_kill_while_collecting(prefect: PrefectServer, root: Path, store: str) -> None:
    """The job stays In progress; a retry finds that its process is gone, and completes it."""
    process, job_id = child(prefect, "collect", store, root)
    wait_for_shards(job_id, 3)
    process.send_signal(signal.SIGSTOP)  # it lives, but cannot end before the kill
    job = jobs.get(job_id)
    assert (job.status, job.task_status) == (JobStatus.IN_PROGRESS, TaskStatus.PROCESSING)
    assert job.next_steps == (NextStep.CANCEL,)
    with pytest.raises(ActionNotAllowed, match="In progress"):
        jobs.retry(job_id)  # refused: its process lives
    process.kill()
    process.wait()
    assert jobs.get(job_id).status is JobStatus.IN_PROGRESS
    job = jobs.retry(job_id)
    assert (job.status, job.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED)
    check_account(job.folder)
    assert len(held(job.folder)) == 300
    first = job.attempts[0].counts
    assert 120 <= first.succeeded < 300
    assert {row["attempt"] for row in held(job.folder).values()} == {1, 2}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_collecting(prefect: PrefectServer, root: Path, store: str, number: signal.Signals) -> None:
    """Ctrl-C, and the signal of a service manager, make the job Canceled, with a receipt; Start completes it."""
    process, job_id = child(prefect, "collect", store, root)
    wait_for_shards(job_id, 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=180)
    job = jobs.get(job_id)
    assert (job.status, job.task_status) == (JobStatus.CANCELED, TaskStatus.CANCELED), err[-3000:] + out
    assert job.result is not None
    counts = job.result.counts
    assert counts.succeeded >= 80
    assert counts.not_attempted + counts.succeeded == counts.found
    assert {row["error_code"] for row in unsuccessful(job.folder).values()} <= {"canceled"}
    assert job.next_steps == (NextStep.START, NextStep.DELETE)
    with pytest.raises(ActionNotAllowed):
        jobs.retry(job_id)
    job = jobs.start(job_id)
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job.folder)
    assert len(held(job.folder)) == 300


def test_interrupt_while_exporting(
    prefect: PrefectServer, root: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted export is Canceled and leaves no package; Start delivers it."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 40)  # eight segments, each of which the child copies
    source = FileSource(name="files", root=root)
    collection = new_job(open_store(store), source)
    attempt(collection, source)
    process, job_id = child(prefect, "export", store, collection.job_id, tmp_path / "out")
    while not (tmp_path / "out").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    job = jobs.get(job_id)
    assert job.status is JobStatus.CANCELED, err[-3000:] + out
    assert job.result is not None
    assert job.result.counts.not_attempted == 300
    assert not list((tmp_path / "out").glob("*.zip"))
    job = jobs.start(job_id)
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(job.result.package).valid  # type: ignore[union-attr,arg-type]
