"""The deployments of ``prefect.yaml`` on a work pool, with a real worker, set up as docs/deploy.md says."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from prefect_collect import jobs, verify
from prefect_collect.blocks import FileSource
from prefect_collect.flows import collect, export
from prefect_collect.flows.auto_exports import AutoExport, exports_of
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.runs.labels import process_of
from prefect_collect.statuses import JobStatus
from tests import forked
from tests.integration.jobs.every_status import FILES, Desk, opened_desk, until, when
from tests.integration.jobs.gated_source import GatedFiles
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.served.conftest import _plugin, is_ready
from tests.integration.servers import end_process, ending_with_us

pytestmark = pytest.mark.integration

_ROOT = Path(__file__).parents[3]
_PAGE = "".join((_ROOT / "docs" / name).read_text() for name in ("deploy.md", "operating.md"))


def _commands(containing: str) -> list[str]:
    """Return the commands of the one example of the two pages with that word."""
    (found,) = [text for text in re.findall(r"```sh\n(.*?)```", _PAGE, re.DOTALL) if containing in text]
    return str(found).splitlines()


def _run_all(commands: list[str], environment: dict[str, str], folder: Path = _ROOT) -> str:
    said = ""
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], env=environment, cwd=folder, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    return said


def _environment(server: PrefectServer) -> dict[str, str]:
    return {**server.environment(), **forked.environment()}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with the pool, the deployments, and a worker that knows the slow source."""
    folder = tmp_path_factory.mktemp("pool")
    with running_prefect_server(folder / "home") as server:
        environment = _environment(server)
        _run_all(_commands("work-pool create"), environment)
        (start,) = _commands("worker start")
        with (folder / "worker.log").open("wb") as output:
            worker = subprocess.Popen(
                ending_with_us(["bash", "-c", f"export {start.replace(' prefect ', '; exec prefect ', 1)}"]),
                env={**environment, "PYTHONPATH": os.pathsep.join((str(_plugin(folder)), str(_ROOT)))},
                cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            with server.used():
                until(lambda: is_ready(worker), "the worker")
            yield server
        finally:
            end_process(worker)


@pytest.fixture
def desk(pool: PrefectServer, tmp_path: Path) -> Iterator[Desk]:
    """A desk, whose jobs are handed to the worker."""
    with pool.used(), opened_desk(tmp_path / "desk") as desk:
        yield desk


def _run(job: jobs.Job) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(job.id))


def _started(desk: Desk, source: FileSource, **options: object) -> jobs.Job:
    """Return a draft that was handed to the worker: `start` returns at once."""
    job = jobs.start(jobs.draft_collection(source, store=desk.store, **options).id)  # type: ignore[arg-type]
    assert job.status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)
    return job


_OTHER_WAYS = """
from prefect.deployments.runner import RunnerDeployment
from prefect_collect.flows import collect, export
from prefect_collect.flows.deploying import served_deployments

for deployment in served_deployments()[:2]:
    deployment.name = "served"
    deployment.apply()
for flow, entrypoint in ((collect, "flows/collection.py:collect"), (export, "flows/exports.py:export")):
    flow.to_deployment("by-hand").apply()
    RunnerDeployment.from_entrypoint(entrypoint, name="by-file").apply()
"""
"""A program that makes deployments; made in this process, their forms would list the tests' own blocks."""


def test_every_deployment_has_the_same_form(pool: PrefectServer) -> None:
    """`prefect deploy`, `serve`, ``flow.deploy`` and a flow named by its file have the same form."""
    _run_all([f"python -c '{_OTHER_WAYS}'"], _environment(pool))
    with pool.used(), get_client(sync_client=True) as client:
        for flow in (collect, export):
            deployed = client.read_deployment_by_name(f"{flow.name}/prefect-collect")
            assert deployed.parameter_openapi_schema is not None
            asked = deployed.parameter_openapi_schema["properties"]
            assert sorted(asked, key=lambda name: int(asked[name]["position"])) == [*inspect.signature(flow).parameters]
            assert all(
                each["title"] == each["title"].capitalize() for each in asked.values() if each["title"] != "SHA-512"
            )
            for name in ("served", "by-hand", "by-file"):
                other = client.read_deployment_by_name(f"{flow.name}/{name}")
                assert other.parameter_openapi_schema == deployed.parameter_openapi_schema
                assert other.description == deployed.description == flow.description
                client.delete_deployment(other.id)


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
    """It is Queued behind the first job, holds no process, and starts by itself."""
    first = _started(desk, desk.slow())
    until(first.folder.moves_data, "its first items")
    second = _started(desk, desk.slow())
    until(lambda: first.id[:8] in jobs.get(second.id).message, "what it waits for")
    until(lambda: not is_alive(process_of(_run(second).labels)), "the end of its process")
    assert jobs.get(second.id).status is JobStatus.QUEUED
    desk.gate.touch()
    before, after = (when(job, JobStatus.SUCCESSFULLY_COMPLETED).result for job in (first, second))
    assert before is not None
    assert after is not None
    assert before.ended <= after.started


def test_processes_that_are_killed(pool: PrefectServer, tmp_path: Path) -> None:
    """At work, before Prefect says Running, just after it, or after the result: each job is resumed and ends well.

    They die at the same time, as the deployment that recovers them runs once a minute. Every item is collected once.
    """
    moments = ["at work", "owned", "running", "result"]
    with pool.used(), ExitStack() as stack:
        desks = {moment: stack.enter_context(opened_desk(tmp_path / moment)) for moment in moments}
        died = {moment: _killed(desk, moment) for moment, desk in desks.items()}
        for moment, job in died.items():
            ended = when(job, JobStatus.SUCCESSFULLY_COMPLETED)
            assert ended.result is not None
            assert (ended.result.counts.succeeded, len(ended.attempts)) == (FILES, 2 if moment == "at work" else 1)


def _killed(desk: Desk, moment: str) -> jobs.Job:
    """Return a job whose process was killed at work, or at a moment of `gated_source`."""
    if moment == "at work":
        job = _started(desk, desk.slow())
        until(job.folder.moves_data, "its first items")
        os.kill(int(process_of(_run(job).labels)["pid"]), signal.SIGKILL)
        desk.gate.touch()
        return job
    dies = desk.folder / "dies"
    dies.write_text(moment)
    desk.gate.touch()
    job = _started(desk, GatedFiles(name=desk.name, root=desk.root, gate=desk.gate, dies=dies))
    until(lambda: not dies.exists(), "the death of its process")
    return job


def test_a_deployment_of_ones_own(pool: PrefectServer, desk: Desk) -> None:
    """The scheduled deployment of docs/deploy.md collects new items from a saved source; its queue can be changed."""
    FileSource(name="documents", root=desk.root).save("documents")
    (added,) = re.findall(r"```yaml\n(.*?)```", _PAGE, re.DOTALL)
    file = desk.folder / "prefect.yaml"
    own = (_ROOT / "deployments" / "prefect.yaml").read_text()
    file.write_text(own + added.replace("s3://evidence/staging", desk.store))
    _run_all([f"prefect --no-prompt deploy --prefect-file {file} --all"], _environment(pool), desk.folder)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("collection job/nightly-documents")
        assert [one.active for one in deployment.schedules] == [True]
        first = client.create_flow_run_from_deployment(deployment.id)
        assert when(jobs.get(first.id), JobStatus.SUCCESSFULLY_COMPLETED).result is not None
        (desk.root / "new.txt").write_text("new")
        second = client.create_flow_run_from_deployment(deployment.id)
    result = when(jobs.get(second.id), JobStatus.SUCCESSFULLY_COMPLETED).result
    assert result is not None
    assert (result.counts.succeeded, result.counts.skipped) == (1, FILES)
    said = _run_all(_commands("global-concurrency-limit"), _environment(pool))
    assert re.search(r"limit\W+2", said), said
