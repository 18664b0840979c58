"""A running job whose run is deleted in Prefect: the next job gets its slot when its process has ended."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect import FileSource, collect, jobs
from prefect_collect.runs.lease import LEASE_SECONDS
from prefect_collect.runs.source_queue import SourceQueue
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.jobs.every_status import Desk, reach, until
from tests.integration.jobs.job_child import name_of
from tests.integration.jobs.test_killing_jobs import child, wait_for_shards
from tests.integration.prefect_server import PrefectServer
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration

_SOON = LEASE_SECONDS - 15
"""Seconds that are less than a lease: the slot must not become free only because its lease expired."""


def deleted(job_id: str) -> None:
    """Delete the run as Prefect's UI does."""
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(job_id))


# The call in a thread ends with Prefect's Abort, as there is no run whose end it could report.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", JobKind)
def test_its_process_stops_and_gives_its_slot_back(desk: Desk, kind: JobKind) -> None:
    """The process notices it, stops, and gives the slot back; the items that it had are in the staging store."""
    job = reach(desk, kind, JobStatus.IN_PROGRESS)
    deleted(job.id)
    with get_client(sync_client=True) as client:
        queue = SourceQueue(kind, desk.name)
        until(lambda: queue.read(client).free == 1, "the slot", patience=_SOON)
    left = jobs.get(job.id, desk.store)
    assert (left.status, left.folder.closed_attempts()) == (JobStatus.CANCELED, [1])
    if kind is JobKind.COLLECTION:
        check_account(left.folder)


def test_a_job_that_waits_sees_that_the_process_was_killed_too(prefect: PrefectServer, root: Path, store: str) -> None:
    """A waiting job gives back the slot of a run that is deleted and whose process is gone."""
    for n in range(300):
        (root / f"{n:03d}").write_text(f"content {n}")
    process, lost = child(prefect, "collect", store, root)
    wait_for_shards(lost, 1)
    process.send_signal(signal.SIGSTOP)  # it cannot see that its run is deleted
    states = []
    source = FileSource(name=name_of(root), root=root)

    def collecting() -> None:
        states.append(collect(source, store=store, return_state=True))

    thread = threading.Thread(target=collecting, daemon=True)
    thread.start()
    with get_client(sync_client=True) as client:
        queue = SourceQueue(JobKind.COLLECTION, source.name)
        until(lambda: any(run.state_name == "Queued" for run in queue.read(client).waiting), "the next job")
        until(lambda: "Waiting for" in jobs.get(str(queue.read(client).waiting[0].id)).message, "what it waits for")
    deleted(lost)
    process.kill()
    process.wait()
    thread.join(_SOON)
    assert [state.name for state in states] == [str(JobStatus.SUCCESSFULLY_COMPLETED)]
