"""Collections whose shards run in worker processes, over Prefect."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId

from prefect_collect import FileSource, collect, jobs
from prefect_collect.collecting import enumeration
from prefect_collect.collecting.busy_core import AFTER, BusyCore
from prefect_collect.collecting.worker_processes import WorkerProcesses
from prefect_collect.flows import _worker_processes, shards_here
from prefect_collect.statuses import JobStatus, NextStep, TaskStatus
from prefect_collect.threads.forked import ForkedProcess
from tests import forked
from tests.integration.jobs.every_status import until
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account, held, unsuccessful

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]
_SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from prefect_collect import collect
from prefect_collect.blocks import FileSource
from prefect_collect.collecting import enumeration

signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where tests run in the background
folder = Path(sys.argv[1])
enumeration.SHARD_ITEMS = 20

class OfThisScript(FileSource):
    _block_type_name = "Of This Script"
    _block_type_slug = "of-this-script"
    hangs: bool = False

    def read_many(self, items, concurrency):
        for item, got in super().read_many(items, concurrency):
            if item.path == "01/30.eml" and not self.hangs and not (folder / "killed").exists():
                (folder / "killed").write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            if item.path == "02/50.eml" and self.hangs:  # of the third shard, which waits for one of two workers
                (folder / "reached").write_text(str(os.getpid()))
                threading.Event().wait()
            yield item, got

for hangs in (False, True):
    source = OfThisScript(root=folder / "tree", hangs=hangs)
    state = collect(source=source, store=folder / "store", runner="processes", workers=2, return_state=True)
    print(state.state_details.flow_run_id, state.name, flush=True)
"""


def test_a_script_that_collects_in_processes(prefect: PrefectServer, tmp_path: Path) -> None:
    """Shards run in processes, and Prefect shows a task run of each.

    A worker that is killed costs nothing: the job succeeds, with every item once. Ctrl-C, which a terminal sends to all
    processes of a job, makes it Canceled, with the items that were committed. The script needs no
    ``if __name__ == "__main__"``, and may define the source's class.
    """
    hashes = {}
    for n in range(60):
        name, data = f"{n // 20:02d}/{n:02d}.eml", f"mail {n}\n".encode() * (1 + n)
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
        hashes[name] = hashlib.sha256(data).hexdigest()
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    os.mkfifo(tmp_path / "reached")
    process = forked.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True, env={**prefect.environment(), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    worker = int((tmp_path / "reached").read_text())
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=180)
    first, second = (jobs.get(line.split()[0]) for line in out.splitlines())

    assert (first.status, first.task_status) == (JobStatus.SUCCESSFULLY_COMPLETED, TaskStatus.COMPLETED), err[-3000:]
    check_account(first.folder)
    assert {path: row["sha256"].hex() for path, row in held(first.folder).items()} == hashes
    killed = int((tmp_path / "killed").read_text())
    assert killed != process.pid
    assert f"process {killed}: killed by signal 9); it is run again" in err
    assert not Path(f"/proc/{worker}").exists()
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(first.id)]))
    names = ["shard 0", "shard 1", "shard 2"]
    with get_client(sync_client=True) as client:  # Prefect's server learns of task runs by their events, a little later
        until(lambda: names == sorted(run.name for run in client.read_task_runs(flow_run_filter=chosen)), "task runs")

    assert second.status is JobStatus.CANCELED, err[-3000:]
    assert second.result is not None
    check_account(second.folder)
    assert {row["error_code"] for row in unsuccessful(second.folder).values()} == {"canceled"}
    assert second.result.counts.succeeded >= 20
    assert NextStep.START in second.next_steps


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("can_start", [True, False])
def test_a_job_that_keeps_a_core_busy_goes_on_in_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_start: bool
) -> None:
    """It begins in threads, and ends there if no process can be started; each item is collected once, and the log says
    where.
    """
    (tmp_path / "tree").mkdir()
    for n in range(60):
        (tmp_path / "tree" / f"{n:02d}").write_text(f"file {n}")
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 20)
    monkeypatch.setattr(_worker_processes, "usable_cores", lambda: 2)
    # Busy from the second shard on: read at the start, and at each shard.
    cpu = iter((0.0, 0.0, AFTER))
    monkeypatch.setattr(shards_here, "BusyCore", lambda: BusyCore(lambda: next(cpu), lambda: 0.0))
    apart: list[int] = []
    collect_apart = WorkerProcesses.collect

    def recorded(self: WorkerProcesses, part: int) -> Any:
        apart.append(part)
        return collect_apart(self, part)

    def refused(self: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(WorkerProcesses, "collect", recorded)
    if not can_start:
        monkeypatch.setattr(ForkedProcess, "start", refused)
    state = collect(source=FileSource(root=tmp_path / "tree"), store=tmp_path / "store", return_state=True)
    job = jobs.get(state.state_details.flow_run_id or "")
    assert job.status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(job.folder)
    assert len(held(job.folder)) == 60
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    expected = "so its shards run in 2 processes from now on" if can_start else "so shards go on in threads"
    with get_client(sync_client=True) as client:
        until(lambda: any(expected in one.message for one in client.read_logs(only)), "what the log says")
    assert sorted(apart) == ([1, 2] if can_start else [])
