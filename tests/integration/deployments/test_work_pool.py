"""The deployments of ``prefect.yaml`` on a work pool, with a real worker, as docs/deploy.md says to set them up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from prefect_collect import jobs, verify
from prefect_collect.blocks import FileSource
from prefect_collect.flows._follow_up import AutoExport, exports_of
from prefect_collect.processes import is_alive
from prefect_collect.runs._deployed import deployments, is_served
from prefect_collect.runs._notes import noted_process
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.reaching import FILES, Desk, opened_desk, until, when
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.served.conftest import _plugin
from tests.integration.servers import _end, _ending_with_us

pytestmark = pytest.mark.integration

_ROOT = Path(__file__).parents[3]
_SETTING_UP = (
    ("work-pool", "create", "collect", "--type", "process"),
    ("block", "register", "-m", "prefect_collect.blocks"),
    ("--no-prompt", "deploy", "--prefect-file", str(_ROOT / "deployments" / "prefect.yaml"), "--all"),
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with the pool, the deployments, and a worker that knows the slow source."""
    folder = tmp_path_factory.mktemp("pool")
    prefect = [sys.executable, "-m", "prefect"]
    with running_prefect_server(folder / "home") as server:
        environment = {
            **server.environment(),
            "PYTHONPATH": os.pathsep.join((str(_plugin(folder)), str(_ROOT))),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        for command in _SETTING_UP:
            done = subprocess.run(
                [*prefect, *command], env=environment, cwd=folder, capture_output=True, text=True,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        with (folder / "worker.log").open("wb") as output:
            worker = subprocess.Popen(
                _ending_with_us([*prefect, "worker", "start", "--pool", "collect"]), env=environment,
                cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            with server.used():
                until(lambda: _is_ready(worker), "the worker")
            yield server
        finally:
            _end(worker)


def _is_ready(worker: subprocess.Popen[bytes]) -> bool:
    assert worker.poll() is None, "the worker has ended"
    with get_client(sync_client=True) as client:
        return all(any(is_served(one) for one in deployments(client, kind)) for kind in JobKind)


@pytest.fixture
def desk(pool: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A place from which jobs are handed to the worker."""
    with pool.used(), opened_desk(tmp_path / "desk") as desk:
        yield desk


def _run(job: jobs.Job) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(job.id))


def _started(desk: Desk, source: FileSource, **options: object) -> jobs.Job:
    """A draft, handed over: `start` comes back at once."""
    job = jobs.start(jobs.draft_collection(source, store=desk.store, **options).id)  # type: ignore[arg-type]
    assert job.status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)
    return job


def test_a_draft_and_its_export(desk: Desk) -> None:
    """A draft that is started here runs on the pool, and so does the export that was made with it."""
    job = jobs.draft_collection(desk.source(), store=desk.store, auto_export=AutoExport(destination=str(desk.out)))
    with get_client(sync_client=True) as client:
        (export,) = exports_of(client, UUID(job.id))
    assert jobs.get(export.id).status is JobStatus.AWAITING_COLLECTION
    assert jobs.start(job.id).status is JobStatus.QUEUED
    for ended in (
        when(job, JobStatus.SUCCESSFULLY_COMPLETED),
        when(jobs.get(export.id), JobStatus.SUCCESSFULLY_COMPLETED),
    ):
        assert ended.result is not None
        assert ended.result.counts.succeeded == FILES
        assert _run(ended).work_pool_name == "collect"
    (package,) = desk.out.glob("*.zip")
    assert verify(package).valid


def test_a_second_job_of_a_source(desk: Desk) -> None:
    """It is Queued behind the first, holds no process, and starts by itself."""
    first = _started(desk, desk.slow())
    until(first.folder.moves_data, "its first items")
    second = _started(desk, desk.slow())
    until(lambda: first.id[:8] in jobs.get(second.id).message, "what it waits for")
    until(lambda: not is_alive(noted_process(_run(second).labels)), "the end of its process")
    assert jobs.get(second.id).status is JobStatus.QUEUED
    desk.gate.touch()
    before, after = (when(job, JobStatus.SUCCESSFULLY_COMPLETED).result for job in (first, second))
    assert before is not None
    assert after is not None
    assert before.ended <= after.started


def test_a_process_that_is_killed(desk: Desk) -> None:
    """Its job is taken up again on the pool, and every item is collected once."""
    job = _started(desk, desk.slow())
    until(job.folder.moves_data, "its first items")
    os.kill(int(noted_process(_run(job).labels)["pid"]), signal.SIGKILL)
    desk.gate.touch()
    ended = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
    assert ended.result is not None
    assert (ended.result.counts.succeeded, len(ended.attempts)) == (FILES, 2)
