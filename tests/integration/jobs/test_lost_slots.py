"""The slot of a job whose process was killed, where no recovery runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect import FileSource, collect, jobs
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.job_child import name_of
from tests.integration.jobs.test_killing_jobs import child, wait_for_shards
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_the_next_job_settles_the_lost_one(prefect: PrefectServer, root: Path, store: str) -> None:
    """A call that waits for the slot first settles the lost job; a retry of that job collects the missing items."""
    for n in range(300):
        (root / f"{n:03d}").write_text(f"content {n}")
    process, lost = child(prefect, "collect", store, root)
    wait_for_shards(lost, 1)
    process.kill()
    process.wait()
    state = collect(source=FileSource(name=name_of(root), root=root), store=store, return_state=True)
    assert state.name == str(JobStatus.SUCCESSFULLY_COMPLETED)
    ended = jobs.get(lost)
    assert (ended.status, len(ended.attempts)) == (JobStatus.PARTIALLY_COMPLETED, 1)
    assert jobs.get(str(state.state_details.flow_run_id)).attempts[0].started >= ended.attempts[0].ended
    assert jobs.retry(lost).status is JobStatus.SUCCESSFULLY_COMPLETED
