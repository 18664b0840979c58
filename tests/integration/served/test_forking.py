"""The processes of the jobs that `serve` runs: forks of a process that has imported everything."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from prefect_collect import jobs
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.runs.labels import process_of
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import Desk, until, when
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.served.conftest import serving
from tests.integration.served.machines import _command, _parents
from tests.integration.served.test_buttons import ended, run_of, settled, started

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server with a `serve` whose fork server Python itself starts: it is known by its command."""
    folder = tmp_path_factory.mktemp("served")
    with running_prefect_server(folder / "home") as server, serving(server, folder, forks=False):
        yield server


def fork_server(job: jobs.Job) -> int:
    """Return the process that the job's process was forked from."""
    forked_from = _parents()[process_of(run_of(job).labels)["pid"]]
    assert "multiprocessing.forkserver" in _command(forked_from)
    return forked_from


def test_a_job_is_forked_and_ends_like_any_other(desk: Desk) -> None:
    """Its environment is that of its run, so that logs and the working directory are the run's; its process ends."""
    job = started(desk)
    process = process_of(run_of(job).labels)
    assert _parents()[fork_server(job)] != os.getpid()
    desk.gate.touch()
    job = settled(job, "Successfully completed")
    until(lambda: not is_alive(process), "the end of its process")


def test_a_service_that_is_stopped_with_all_its_processes(desk: Desk) -> None:
    """SIGTERM to the fork server, as systemd sends it to all processes, ends no job; nor does SIGKILL lose a job."""
    job = started(desk)
    server = fork_server(job)
    os.kill(server, signal.SIGTERM)
    desk.gate.touch()
    job = settled(job, "Successfully completed")
    assert len(job.attempts) == 1
    os.kill(server, signal.SIGKILL)
    job = when(ended(desk), JobStatus.SUCCESSFULLY_COMPLETED)
    assert len(job.attempts) == 1
