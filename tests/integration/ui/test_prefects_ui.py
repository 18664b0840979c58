"""Prefect's own UI: the Runs page as the status page, a form that starts a job, and the buttons of the next steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect_aws import AwsCredentials

from prefect_collect import jobs
from prefect_collect.blocks import FileSource, ObjectStoreSource
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.flows import collect
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.ui.browser import Browser
from tests.integration.ui.conftest import Served
from tests.integration.ui.documented_runs import open_documented_runs

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with three files, one of which is a link that leads nowhere."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "one.txt").write_text("one")
    (root / "two.txt").write_text("two")
    (root / "link.txt").symlink_to("missing.txt")
    return root


@pytest.fixture
def start(served: Served, tmp_path: Path) -> Callable[[DataSource, str], UUID]:
    """A function that starts a collection from its deployment, as a schedule does."""

    def start(source: DataSource, name: str) -> UUID:
        given = collect.serialize_parameters({"source": source, "store": str(tmp_path / "store"), "name": name})
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(served.collection, parameters=given, name=name).id

    return start


@pytest.mark.parametrize("kind", list(JobKind))
def test_the_runs_page_shows_every_documented_status(browser: Browser, kind: JobKind) -> None:
    """The badge of each job reads as the documented status, for every row of the table of its kind."""
    open_documented_runs(browser, kind)
    browser.screenshot(f"runs-{kind.value.lower()}s", height=1550)


def test_a_form_starts_a_collection_of_a_source_picked_by_name(
    served: Served, browser: Browser, tmp_path: Path
) -> None:
    """Fields have titles; a saved source is picked by its name; the run collects as the form says, and is shown."""
    root = tmp_path / "case files"
    root.mkdir()
    for name in ("one.txt", "two.txt", "three.pdf"):
        (root / name).write_text(name)
    FileSource(root=root).save("case-files", overwrite=True)
    FileSource(root=tmp_path).save("everything", overwrite=True)
    browser.open_form(served.collection)
    fields = browser.fields()
    assert [field for field in fields if "_" in field] == []
    assert fields[0] == "Source"
    browser.pick_block("Source", "File Source", "case-files")
    browser.add("Include", "*.txt")
    browser.fill("Store", str(tmp_path / "store"))
    browser.choose("On empty", "fail")
    browser.screenshot("form-collection", height=1400)
    run = browser.submit(served.collection)
    browser.wait_for_status("Successfully completed")
    result = jobs.get(run).result
    assert result is not None
    assert (result.counts.found, result.counts.succeeded) == (2, 2)


def test_a_draft_is_started_with_resume(served: Served, browser: Browser, root: Path, tmp_path: Path) -> None:
    """A draft waits, and its page offers Resume; after a click on it, the job runs to its end."""
    draft = jobs.draft_collection(FileSource(root=root), name="draft", store=tmp_path / "store")
    browser.open_run(draft.id)
    assert browser.status() == "Drafted"
    assert {"Resume", "Delete"} <= set(browser.choices())
    browser.screenshot("draft")
    browser.resume()
    browser.wait_for_status("Successfully completed")
    assert jobs.get(draft.id).status is JobStatus.SUCCESSFULLY_COMPLETED


def test_a_job_is_canceled_and_started_again(
    browser: Browser,
    start: Callable[[DataSource, str], UUID],
    moto: S3Server,
    fault_proxy: Callable[[S3Server], FaultProxy],
) -> None:
    """Cancel ends a job whose source hangs, and the page shows Canceled; Retry starts it again, to its end."""
    bucket, proxy = moto.new_bucket(), fault_proxy(moto)
    for n in range(3):
        moto.client().put_object(Bucket=bucket, Key=f"{n}.txt", Body=b"content")
    keys = AwsCredentials(aws_access_key_id=moto.access_key, aws_secret_access_key=moto.secret_key)
    source = ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=proxy.url, region=moto.region, credentials=keys)
    proxy.hang_next(100, method="GET", path=r"\.txt")
    run = start(source, "hanging")
    browser.open_run(run)
    browser.wait_for_status("In progress")
    browser.screenshot("in-progress")
    browser.cancel()
    browser.wait_for_status("Canceled")
    browser.screenshot("canceled")
    proxy.clear()
    proxy.release()
    browser.retry()
    browser.wait_for_status("Successfully completed")


def test_a_partially_completed_job_is_retried(
    browser: Browser, start: Callable[[DataSource, str], UUID], root: Path
) -> None:
    """Retry, clicked after the cause was removed, collects the items that had failed."""
    run = start(FileSource(root=root, follow_symlinks=True), "retried")
    browser.open_run(run)
    browser.wait_for_status("Partially completed")
    browser.screenshot("partially-completed")
    (root / "missing.txt").write_text("found")
    browser.retry()
    browser.wait_for_status("Successfully completed")
    assert len(jobs.get(run).attempts) == 2


def test_a_retry_that_is_not_offered_changes_nothing(
    browser: Browser, start: Callable[[DataSource, str], UUID], root: Path
) -> None:
    """The UI offers Retry for a Successfully completed job too; the job stays as it is, with the reason."""
    run = start(FileSource(root=root), "successful")
    browser.open_run(run)
    browser.wait_for_status("Successfully completed")
    browser.retry()
    browser.wait_for_status("AwaitingRetry", "Pending", "Submitting", "Running")
    browser.wait_for_status("Successfully completed")
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
    assert "does not offer" in str(state and state.message)
    assert len(jobs.get(run).attempts) == 1


def test_a_job_is_deleted(browser: Browser, start: Callable[[DataSource, str], UUID], root: Path) -> None:
    """Delete removes the run from Prefect; the job's evidence is still in the staging store, and can be read."""
    run = start(FileSource(root=root), "deleted")
    browser.open_run(run)
    browser.wait_for_status("Successfully completed")
    store = jobs.get(run).folder.store.url
    browser.delete()
    browser.wait(lambda: "/runs/flow-run/" not in browser.driver.current_url, lambda: "the Runs page")
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(run)
    result = jobs.get(run, store).result
    assert result is not None
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
