"""Take the pictures of Prefect's UI and of the console in docs/screenshots: `python -m tools.screenshots`.

It starts a Prefect server with its UI, an S3 server that hangs on demand, and `serve`, brings jobs to the states of
the captions, and photographs their pages in Chromium. Needs Chromium, chromedriver and the dependency group `test`.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect_aws import AwsCredentials

from prefect_collect import jobs
from prefect_collect.blocks import FileSource, ObjectStoreSource
from prefect_collect.flows import collect
from prefect_collect.statuses import JobKind
from tests.integration.faults import FaultProxy
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server, end_process, free_port, moto
from tests.integration.ui.browser import SCREENSHOTS, Browser, running_browser
from tests.integration.ui.documented_runs import open_documented_runs
from tools.console_pictures import CUSTODIAN, PARTLY, ConsolePictures

PICTURES: Final = Path(__file__).parents[1] / "docs" / "screenshots"
_PROGRAM: Final = str(Path(sysconfig.get_path("scripts")) / "prefect-collect")


def main() -> None:
    """Take all pictures."""
    os.environ[SCREENSHOTS] = str(PICTURES)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="case-") as name:
        folder = Path(name)
        with _serving(folder) as server, server.used(), running_browser(server.ui) as browser, moto(folder) as bucket:
            _files(folder)
            deployment = _deployment(browser)
            console = ConsolePictures(browser, folder / "serve.log")
            _form(browser, folder, deployment)
            _partly(browser, folder, deployment)
            _draft(browser, folder)
            _in_progress(browser, deployment, bucket, console)
            console.new_collection()
            console.partly()
            console.sources()
            _runs(browser)


@contextmanager
def _serving(folder: Path) -> Iterator[PrefectServer]:
    """Run `serve`, which starts a Prefect server and serves the blocks' logos."""
    port, home = free_port(), folder / "prefect"
    server = PrefectServer(f"http://127.0.0.1:{port}/api", home)
    environment = {**server.environment(), "PREFECT_INTEGRATIONS_COLLECT_STORE": str(folder / "staging")}
    del environment["PREFECT_API_URL"]
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_PROGRAM, "serve", "--port", str(port)], env=environment, stdout=output, stderr=output
        )
    try:
        _wait_for(log, process)
        yield server
    finally:
        end_process(process)


def _wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    import time

    while "Running up to" not in log.read_text():
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.5)  # the condition is polled: serve reports in its log that it is ready


def _files(folder: Path) -> None:
    (folder / "mailbox" / "2024").mkdir(parents=True)
    for number in range(1, 41):
        head = f"From: Jordan Lee <jordan@example.org>\nTo: Kim Park <kim@example.org>\nSubject: Contract {number}\n\n"
        text = f"Dear Kim,\n\nhere is version {number} of the contract.\n\nJordan\n\n"
        clauses = "".join(f"{clause}. The parties agree on clause {clause}.\n" for clause in range(1, 101))
        (folder / "mailbox" / "2024" / f"message-{number:03}.eml").write_text(head + text + clauses)
    (folder / "mailbox" / "contract.pdf").symlink_to("moved/contract.pdf")
    (folder / "mailbox" / "invoice.pdf").symlink_to("moved/invoice.pdf")


def _deployment(browser: Browser) -> UUID:
    """Return the id of the deployment that starts collections, once Prefect has it."""
    with get_client(sync_client=True) as client:

        def found() -> UUID | None:
            flows = {flow.id: flow.name for flow in client.read_flows()}
            return next((one.id for one in client.read_deployments() if flows[one.flow_id] == collect.name), None)

        return browser.wait(found, lambda: "the deployment of the collections")


def _started(deployment: UUID, source: FileSource | ObjectStoreSource, name: str, **options: Any) -> UUID:
    with get_client(sync_client=True) as client:
        given = collect.serialize_parameters({"source": source, "name": name, **options})
        return client.create_flow_run_from_deployment(deployment, parameters=given, name=name).id


def _open_page_of(browser: Browser, run: UUID, text: str) -> None:
    """Wait until the job's page, an artifact, has that text, and open it; return when its headings are drawn."""
    with get_client(sync_client=True) as client:

        def made() -> UUID | None:
            only = ArtifactFilter(key=ArtifactFilterKey(any_=[f"job-{run}"]))
            newest = client.read_artifacts(artifact_filter=only, sort=ArtifactSort.CREATED_DESC, limit=1)
            return newest[0].id if newest and text in str(newest[0].data) else None

        artifact = browser.wait(made, lambda: f"the page of the job {run} to say {text!r}")
    browser.go("settings")
    browser.go(f"artifacts/artifact/{artifact}")
    browser.driver.refresh()  # The UI keeps what it has shown of an artifact before.
    browser.see("//p[contains(., 'Source: ')]")
    browser.see(f"//*[self::h1 or self::p or self::td][contains(normalize-space(), '{text}')]")


def _form(browser: Browser, folder: Path, deployment: UUID) -> None:
    FileSource(name="mailbox", root=folder / "mailbox").save("mailbox", overwrite=True)
    browser.open_form(deployment)
    browser.pick_block("Source", "File Source", "mailbox")
    browser.add("Include", "*.eml")
    browser.wait(
        lambda: browser.driver.execute_script("return [...document.images].every(one => one.naturalWidth > 0)"),
        lambda: "the logos",
    )
    browser.screenshot("form-collection", width=1900, height=1100)


def _partly(browser: Browser, folder: Path, deployment: UUID) -> None:
    source = FileSource(name="mailbox", root=folder / "mailbox", follow_symlinks=True)
    run = _started(deployment, source, PARTLY, custodian=CUSTODIAN)
    browser.open_run(run)
    browser.wait_for_status("Partially completed")
    _open_page_of(browser, run, "Partially completed")
    browser.screenshot("partially-completed", height=1800)


def _draft(browser: Browser, folder: Path) -> None:
    source = FileSource(name="contracts", root=folder / "mailbox")
    draft = jobs.draft_collection(source, name="contracts, to be reviewed")
    browser.open_run(draft.id)
    browser.see("//*[contains(text(), 'has not yet generated any')]")
    browser.click("//nav[@aria-label='breadcrumb']/../following-sibling::button[@aria-haspopup='menu']")
    browser.see("//*[@role='menuitem']")
    browser.screenshot("draft", width=1000, rows=250)
    browser.driver.refresh()


def _in_progress(browser: Browser, deployment: UUID, server: S3Server, console: ConsolePictures) -> None:
    """Photograph a job that hangs after 260 of 400 objects, and a job that waits for it."""
    bucket = server.new_bucket()
    for number in range(400):
        server.client().put_object(Bucket=bucket, Key=f"mail/{number:04}.eml", Body=b"Subject: hello\n\nhello\n" * 4000)
    keys = AwsCredentials(aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key)
    with FaultProxy(server.url) as proxy:
        proxy.hang_next(1000, method="GET", path=r"/0(2[6-9]|3)\d")
        source = ObjectStoreSource(
            name="archive", url=f"s3://{bucket}/mail/", endpoint_url=proxy.url, region=server.region, credentials=keys
        )
        first = _started(deployment, source, "mail archive")
        browser.open_run(first)
        browser.wait_for_status("In progress")
        _open_page_of(browser, first, "260")
        browser.screenshot("in-progress", height=1200)
        console.in_progress(first)
        second = _started(deployment, source, "mail archive again")
        browser.open_run(second)
        browser.wait_for_status("Queued")
        _open_page_of(browser, second, "Queued")
        browser.screenshot("queued", height=800)
        browser.open_run(first)
        browser.cancel()
        browser.wait_for_status("Canceled")
        _open_page_of(browser, first, "Canceled")
        browser.screenshot("canceled", height=1200)
        proxy.clear()
        proxy.release()
        browser.open_run(second)
        browser.wait_for_status("Successfully completed")


def _runs(browser: Browser) -> None:
    """Photograph the Runs page with one run in each documented status; the runs hold no items, their states are set."""
    for kind in JobKind:
        open_documented_runs(browser, kind)
        browser.screenshot(f"runs-{kind.value.lower()}s", height=1600)


if __name__ == "__main__":
    main()
