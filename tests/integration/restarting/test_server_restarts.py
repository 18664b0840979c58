"""Prefect's server is killed in the middle of a job, and started again."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import jobs
from prefect_collect.flows.recover_jobs import recover
from prefect_collect.job_folder.folder import job_folders
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import open_store
from tests import forked
from tests.integration.jobs.every_status import opened_desk, until, when
from tests.integration.prefect_server import PrefectServer, server_environment
from tests.integration.served.machines import machine
from tests.integration.served.test_recovery import begun, require_valid, sharded, worked_on
from tests.integration.servers import end_process, free_port

pytestmark = pytest.mark.integration

_CHILD = """
import sys
from prefect_collect import collect
from tests.integration.jobs.gated_source import GatedFiles

root, gate, store = sys.argv[1:]
collect(GatedFiles(root=root, name="restarting", gate=gate, pause=0.5), store=store, concurrency=1)
"""


@contextmanager
def _server(home: Path, port: int) -> Iterator[PrefectServer]:
    server = PrefectServer(f"http://127.0.0.1:{port}/api", home)
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    with (home / "server.log").open("ab") as log:
        process = forked.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=server_environment(home),
        )  # fmt: skip
    try:
        until(lambda: _is_healthy(server.url), "the server")
        yield server
    finally:
        process.kill()
        end_process(process)


def _is_healthy(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def test_a_job_outlives_its_server(tmp_path: Path) -> None:
    """The job continues without the server; when that is back, the job has its true status, and its slot is free."""
    root, gate, home = tmp_path / "root", tmp_path / "gate", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    for n in range(60):
        (root / f"{n:02d}.txt").write_text(f"content {n}")
    store, port = tmp_path / "store", free_port()
    store.mkdir()
    with _server(home, port) as server:
        child = forked.Popen(
            [sys.executable, "-c", _CHILD, str(root), str(gate), str(store)],
            env={**server.environment(), "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        folder = until(lambda: next(iter(job_folders(open_store(store))), None), "the job")
        until(lambda: folder.parts("inventory", 1), "the job to read its source")
    try:
        gate.touch()
        until(lambda: folder.parts("ledger", 1), "the job to go on without its server")
        with _server(home, port) as server, server.used():
            assert child.wait(180) == 0
            job = jobs.get(folder.job_id)
            assert job.status is JobStatus.SUCCESSFULLY_COMPLETED, job.message
            assert job.result is not None
            assert job.result.counts.succeeded == 60
            with get_client(sync_client=True) as client:
                recover(client)
                assert SourceQueue(JobKind.COLLECTION, "restarting").read(client).free == 1
                assert client.read_flow_run(UUID(job.id)).state_name == "Successfully completed"
    finally:
        child.kill()
        child.wait()


def test_a_job_ends_while_the_server_is_down(tmp_path: Path) -> None:
    """Its process holds the final state until the server is back; `serve` survives it, and the next job starts."""
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    with ExitStack() as running:
        server = running.enter_context(_server(home, port))
        with server.used(), opened_desk(tmp_path / "desk") as desk, machine(server, tmp_path / "serve") as serving:
            job = begun(desk, sharded(desk, 600.0))
            worked_on(job, 1)
            behind = begun(desk, sharded(desk, 600.0))
            until(lambda: jobs.get(behind.id).message.startswith("Waiting for"), "the queue")
            running.close()
            desk.gate.touch()
            until(job.folder.closed_attempts, "the end of the work")
            down = time.monotonic()
            until(lambda: time.monotonic() - down > 10, "everybody to notice that the server is down")
            running.enter_context(_server(home, port))
            for one in (job, behind):
                assert len(when(one, JobStatus.SUCCESSFULLY_COMPLETED).attempts) == 1
                require_valid(one)
            assert serving.process.poll() is None
