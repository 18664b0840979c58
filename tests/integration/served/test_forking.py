"""The processes of the jobs that `serve` runs: forks of a process that has imported everything."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.runs.labels import process_of
from tests.integration.jobs.every_status import Desk, until
from tests.integration.served.machines import _parents
from tests.integration.served.test_buttons import run_of, settled, started

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only"),
]


def fork_server(job: jobs.Job) -> int:
    """Return the process that the job's process was forked from."""
    return _parents()[process_of(run_of(job).labels)["pid"]]


def test_a_service_that_is_stopped_with_all_its_processes(desk: Desk) -> None:
    """The process that jobs are forked from outlives its job and SIGTERM, which systemd sends to all processes.

    SIGKILL of it loses no job: another process forks the next ones. A job's process ends with its job.
    """
    job = started(desk)
    process, server = process_of(run_of(job).labels), fork_server(job)
    os.kill(server, signal.SIGTERM)
    desk.gate.touch()
    job = settled(job, "Successfully completed")
    assert len(job.attempts) == 1
    until(lambda: not is_alive(process), "the end of its process")
    assert Path(f"/proc/{server}").exists()
    os.kill(server, signal.SIGKILL)
    desk.gate.unlink()
    job = started(desk)
    assert fork_server(job) != server
    desk.gate.touch()
    job = settled(job, "Successfully completed")
    assert len(job.attempts) == 1
