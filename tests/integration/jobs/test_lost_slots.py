"""The slot of a job whose process was killed, where nobody recovers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import FileSource, collect, jobs
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.test_killing_jobs import child, wait_for_shards
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_the_lease_runs_out(prefect: PrefectServer, root: Path, store: str) -> None:
    """A call that waits for the slot goes on when the lease has run out; the lost job is seen by the next retry."""
    for n in range(300):
        (root / f"{n:03d}").write_text(f"content {n}")
    process, lost = child(prefect, "collect", store, root)
    wait_for_shards(lost, 1)
    process.kill()
    process.wait()
    state = collect(source=FileSource(name="files", root=root), store=store, return_state=True)
    assert state.name == str(JobStatus.SUCCESSFULLY_COMPLETED)
    assert jobs.get(lost).status is JobStatus.IN_PROGRESS
    assert jobs.retry(lost).status is JobStatus.SUCCESSFULLY_COMPLETED
