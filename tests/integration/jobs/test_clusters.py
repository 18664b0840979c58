"""Collections whose shards run on a Dask cluster of this machine, in processes that are killed and canceled."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import spawn
from pathlib import Path

import pytest
from distributed import LocalCluster

from prefect_collect import collect, jobs
from prefect_collect.collecting import enumeration
from prefect_collect.statuses import JobStatus, NextStep, TaskStatus
from prefect_collect.threads.progress import Progress, watching
from tests import forked, shim
from tests.integration.jobs.slow_source import SlowFiles
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account, held, unsuccessful

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]
_CHILD = """
import sys
from prefect_collect import collect
from prefect_collect.collecting import enumeration
from tests import forked
from tests.integration.jobs.slow_source import SlowFiles

if __name__ == "__main__":
    enumeration.SHARD_ITEMS = 20
    source = SlowFiles(root=sys.argv[1], log=sys.argv[2], pause=0.05)
    state = collect(source=source, store=sys.argv[3], runner="dask", workers=1, return_state=True)
    print(state.state_details.flow_run_id, state.name)
"""


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, str]:
    """A tree of 200 small files, for 10 shards: the SHA-256 of each by its path."""
    hashes = {}
    for folder in range(10):
        (tmp_path / f"tree/{folder:02d}").mkdir(parents=True)
        for file in range(20):
            name, data = f"{folder:02d}/{file:02d}.eml", f"mail {folder} {file}\n".encode() * (1 + file)
            (tmp_path / "tree" / name).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
    return hashes


@pytest.fixture
def source(tmp_path: Path, tree: dict[str, str]) -> SlowFiles:
    """The tree, of which a shard takes a second."""
    return SlowFiles(root=tmp_path / "tree", log=tmp_path / "log", pause=0.05)


def ledger_parts(store: str) -> int:
    """Return how many shards are committed, over all jobs in the store."""
    return len(list(Path(store).glob("*/ledger/0001/part-*.parquet")))


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have shards of 20 items in this process."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 20)


def when(condition: Callable[[], bool], action: Callable[[], object]) -> threading.Thread:
    """Call `action` in a thread as soon as `condition` holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def forked_workers(prefect: PrefectServer) -> Iterator[None]:
    """Have the processes that Dask starts from this one be forks."""
    before = spawn.get_executable()
    multiprocessing.set_executable(str(Path(os.environ[shim.ASKED]).parent / "bin" / "python"))
    yield
    multiprocessing.set_executable(before)


@pytest.mark.usefixtures("forked_workers", "small_shards")
def test_a_killed_worker(source: SlowFiles, tree: dict[str, str], store: str) -> None:
    """Dask runs the killed worker's shard again on another worker; the job succeeds, with every item once."""
    killed: list[int] = []

    def kill_a_reader() -> None:
        reading = [readers[-1] for readers in source.readers().values()][-1]
        assert reading != os.getpid()
        os.kill(reading, signal.SIGKILL)
        killed.append(reading)

    killer = when(lambda: ledger_parts(store) >= 1 and len(source.readers()) > ledger_parts(store) + 1, kill_a_reader)
    state = collect(source=source, store=store, runner="dask", workers=2, return_state=True)
    killer.join(timeout=0)
    assert killed
    assert state.name == "Successfully completed", state.message
    job = jobs.get(str(state.state_details.flow_run_id))
    check_account(job.folder)
    assert {path: row["sha256"].hex() for path, row in held(job.folder).items()} == tree
    assert job.folder.parts("ledger", 1) == list(range(10))
    twice = [readers for readers in source.readers().values() if len(readers) > 1]
    assert twice
    assert all(readers[0] == killed[0] for readers in twice)


def test_an_interrupt(prefect: PrefectServer, source: SlowFiles, store: str) -> None:
    """Ctrl-C reaches shards in Dask's processes: the job is Canceled, with the items that they had committed.

    Ctrl-C in a terminal goes to all processes of the job; the workers do not die of it.
    """
    process = forked.Popen(
        [sys.executable, "-c", _CHILD, source.root, source.log, store],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT, start_new_session=True,
        env={**prefect.environment(), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    when(lambda: ledger_parts(store) >= 2, lambda: os.killpg(process.pid, signal.SIGINT))
    out, err = process.communicate(timeout=180)
    job = jobs.get(out.split()[0])
    check_canceled(job, 2, err[-3000:] + out)
    assert all(len(readers) == 1 for readers in source.readers().values()), "a worker died of it"


def check_canceled(job: jobs.Job, parts: int, said: str = "") -> None:
    """Assert that the job is Canceled, and has the items of at least that many shards."""
    assert (job.status, job.task_status) == (JobStatus.CANCELED, TaskStatus.CANCELED), said
    assert job.result is not None
    counts = job.result.counts
    check_account(job.folder)
    assert counts.succeeded >= 20 * parts
    assert counts.succeeded + counts.not_attempted == counts.found
    assert {row["error_code"] for row in unsuccessful(job.folder).values()} <= {"canceled"}
    assert NextStep.START in job.next_steps


@pytest.mark.usefixtures("prefect", "small_shards")
def test_a_running_cluster(source: SlowFiles, tree: dict[str, str], store: str) -> None:
    """A running cluster is used and left running, also by a job that is canceled.

    With a worker in this process, nothing is counted twice.
    """
    seen: list[Progress] = []
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address
        when(
            lambda: ledger_parts(store) >= 1,
            lambda: jobs.cancel(next(Path(store).glob("*/job.json")).parent.name),
        )
        state = collect(source=source, store=store, runner="dask", runner_address=address, return_state=True)
        check_canceled(jobs.get(str(state.state_details.flow_run_id)), 1)
        source.pause = 0.0
        with watching(lambda _, progress: seen.append(progress)):
            state = collect(source=source, store=store, runner="dask", runner_address=address, return_state=True)
        assert cluster.status.name == "running"
    assert state.name == "Successfully completed", state.message
    (progress,) = seen
    assert (progress.found, progress.succeeded, progress.failed) == (200, 200, 0)
    job = jobs.get(str(state.state_details.flow_run_id))
    assert {path: row["sha256"].hex() for path, row in held(job.folder).items()} == tree
