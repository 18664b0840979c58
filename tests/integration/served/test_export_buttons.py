"""What Prefect's UI does to exports that `serve` runs: documented steps work, others are undone with a reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.states import Scheduled
from prefect_aws import AwsCredentials

from prefect_collect import export, jobs
from prefect_collect.blocks import S3StoreBlock
from prefect_collect.job_folder import custody_log, store_keys
from prefect_collect.job_folder.process_identity import is_alive
from prefect_collect.packages import verify
from prefect_collect.runs.deployment_lookup import deployments
from prefect_collect.runs.labels import process_of
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from tests.integration.faults import FaultProxy
from tests.integration.jobs.every_status import FILES, Desk, until, when
from tests.integration.prefect_server import PrefectServer
from tests.integration.runs.test_events import events_of
from tests.integration.served import buttons
from tests.integration.served.test_buttons import run_of, settled
from tests.integration.served.test_schedules import was_at_first
from tests.integration.servers import S3Server
from tests.support.run_attempts import check_account

pytestmark = pytest.mark.integration

_BY = "Prefect's UI or API"
_RUN_TO_ITS_END = ["queued", "in-progress", "successfully-completed"]


def custom_run(desk: Desk, collection: jobs.Job, destination: Block | Path, **options: Any) -> jobs.Job:
    """Make an export as Custom run does: a run of the deployment "export job/prefect-collect"."""
    parameters = export.serialize_parameters(
        {"collection_job": collection.id, "destination": destination, "store": desk.store}
    )
    with get_client(sync_client=True) as client:
        deployment = deployments(client, JobKind.EXPORT)[0]
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters, **options)
    return jobs.get(run.id)


def require_whole(job: jobs.Job, package: Path | str | None = None) -> None:
    """Assert that the export has delivered all of the collection, in a package that verifies."""
    assert job.result is not None
    assert job.result.counts.succeeded == FILES
    assert verify(str(package or job.result.package)).valid


def asked(job: jobs.Job) -> list[tuple[str, str]]:
    """Return the requests that the job's custody log names, and what made each."""
    entries = custody_log.check_chain(job.folder).entries
    return [(entry.action, entry.details["by"]) for entry in entries if entry.action.endswith("-requested")]


def told(server: PrefectServer, job: jobs.Job, number: int) -> list[str]:
    """Return the statuses of the job's events in their order, once there are that many."""
    return [event["event"].removeprefix("prefect-collect.export.") for event in events_of(server, job.id, number)]


def test_runs_of_the_deployment(desk: Desk) -> None:
    """A Custom run, and a run that is due as a schedule's is, deliver the collection, one after the other.

    Retry, which neither offers then, changes nothing and gives the reason, even when the collection was deleted since;
    the package can still be downloaded.
    """
    collection = desk.collected()
    soon: Any = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=1))
    due = custom_run(desk, collection, desk.folder / "due", state=soon)
    assert was_at_first(due) == (JobStatus.QUEUED, TaskStatus.PENDING)
    custom = custom_run(desk, collection, desk.out)
    custom, due = (settled(job, "Successfully completed") for job in (custom, due))
    spans = []
    for job in (custom, due):
        require_whole(job)
        assert job.source == desk.name
        spans += [(result.started, result.ended) for result in job.attempts]
    first, second = sorted(spans)
    assert first[1] <= second[0]

    def is_put_back(job: jobs.Job, reason: str) -> None:
        buttons.retry(job)
        until(lambda: "Nothing was run" in jobs.get(job.id).message, lambda: f"the reason; it is {run_of(job).state}")
        after = jobs.get(job.id)
        assert reason in after.message
        assert (after.status, len(after.attempts)) == (JobStatus.SUCCESSFULLY_COMPLETED, 1)
        assert after.task_status is TaskStatus.COMPLETED
        require_whole(after, jobs.download(job.id, desk.folder / f"home of {job.id}"))

    is_put_back(custom, "'Successfully completed' does not offer 'Retry'; it offers 'Download' or 'Delete'")
    assert asked(custom) == [("retry-requested", _BY)]
    jobs.delete(collection.id)
    is_put_back(due, collection.id)


def test_retry(desk: Desk, served: PrefectServer) -> None:
    """A Partially completed and a Failed export are retried once their causes are mended: attempt 2 delivers all."""
    collection = desk.staged()
    segment = Path(collection.folder.store.locate(store_keys.segment_key(collection.id, store_keys.segment_name(1, 1))))
    segment.rename(desk.folder / "segment")
    partial = settled(custom_run(desk, collection, desk.out), "Partially completed")
    assert partial.result is not None
    assert partial.result.codes == {"segment_corrupt": partial.result.counts.failed}
    (desk.folder / "segment").rename(segment)

    assert collection.record is not None
    taken = desk.folder / "taken" / f"{collection.record.package_base}.zip"
    taken.parent.mkdir()
    taken.write_text("mine")
    failed = settled(custom_run(desk, collection, taken.parent), "Failed")
    assert str(taken) in failed.message
    assert taken.read_text() == "mine"
    taken.unlink()

    for job in (partial, failed):
        buttons.retry(job)
    partial, failed = (settled(job, "Successfully completed") for job in (partial, failed))
    for job in (partial, failed):
        require_whole(job)
        assert asked(job) == [("retry-requested", _BY)]
    assert [result.status for result in partial.attempts] == [
        JobStatus.PARTIALLY_COMPLETED,
        JobStatus.SUCCESSFULLY_COMPLETED,
    ]
    assert len(failed.attempts) == 1  # it was refused before its first attempt
    assert told(served, partial, 6) == ["queued", "in-progress", "partially-completed", *_RUN_TO_ITS_END]
    assert told(served, failed, 4) == ["failed", *_RUN_TO_ITS_END]


@pytest.fixture
def hanging(moto: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> tuple[S3StoreBlock, FaultProxy]:
    """A bucket that answers no upload of a package until its proxy is cleared and releases the held requests."""
    proxy = fault_proxy(moto)
    proxy.hang_next(1000, method="PUT|POST", path=r"\.zip")
    keys = AwsCredentials(aws_access_key_id=moto.access_key, aws_secret_access_key=moto.secret_key)
    return S3StoreBlock(bucket=moto.new_bucket(), endpoint_url=proxy.url, credentials=keys), proxy


def test_cancel(desk: Desk, served: PrefectServer, hanging: tuple[S3StoreBlock, FaultProxy]) -> None:
    """While Queued it ends before it has begun; while In progress when its process has stopped, with a receipt.

    Retry, the UI's Start, then completes both.
    """
    bucket, proxy = hanging
    collection = desk.staged()
    job = when(custom_run(desk, collection, bucket), JobStatus.IN_PROGRESS)
    until(lambda: proxy.count("PUT|POST", r"\.zip"), "its upload")
    process = process_of(run_of(job).labels)
    assert is_alive(process)
    behind = custom_run(desk, collection, desk.out)
    until(lambda: job.id[:8] in jobs.get(behind.id).message, "what it waits for")
    until(lambda: not is_alive(process_of(run_of(behind).labels)), "the end of its process: a queued job has none")

    for one in (behind, job):
        buttons.cancel(one)
    behind = settled(behind, "Canceled")
    assert behind.folder.attempts() == []
    assert "before anything was started" in behind.message
    job = settled(job, "Canceled")
    until(lambda: not is_alive(process), "the end of its process")
    assert job.result is not None
    assert job.result.receipt is not None
    assert job.message == job.result.message
    assert (job.result.package, job.result.counts.not_attempted) == (None, FILES)
    assert asked(job) == [("cancel-requested", _BY)]
    check_account(job.folder)

    proxy.clear()
    proxy.release()
    for one in (job, behind):
        buttons.retry(one)
    job, behind = (settled(one, "Successfully completed") for one in (job, behind))
    assert [result.status for result in job.attempts] == [JobStatus.CANCELED, JobStatus.SUCCESSFULLY_COMPLETED]
    require_whole(job, jobs.download(job.id, desk.folder / "home"))
    require_whole(behind)
    assert told(served, job, 6) == ["queued", "in-progress", "canceled", *_RUN_TO_ITS_END]
    assert told(served, behind, 5) == ["queued", "canceled", *_RUN_TO_ITS_END]
