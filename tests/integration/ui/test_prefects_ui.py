"""Prefect's own UI: the Runs page as the status page, a form that starts a job, and the buttons of the next steps.

Names are data there. One server, one browser and one `serve` are shared by all tests, as they take long to start.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogWorker

from prefect_collect import collect, jobs
from prefect_collect.blocks import FileSource, ObjectStoreSource
from prefect_collect.console.access import Grant
from prefect_collect.console.roles import Role
from prefect_collect.console.server import ConsoleOptions, running_console
from prefect_collect.escaping import one_line
from prefect_collect.runs.console_address import entered_address
from prefect_collect.statuses import JobKind, JobStatus
from tests.integration.hostile import HostileStore
from tests.integration.ui.browser import Browser
from tests.integration.ui.conftest import Served
from tests.integration.ui.documented_runs import open_documented_runs
from tests.integration.ui.hostile_jobs import (
    ALL,
    TITLE,
    artifacts,
    assert_harmless,
    hostile_collection,
    hostile_export,
    open_and_assert_harmless,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect")]


@pytest.mark.timeout(400)
def test_no_element_comes_of_a_name(browser: Browser, tmp_path: Path) -> None:
    """No name becomes an element, address or script, in either of the UI's versions.

    Page, errors, report and progress of a job, its run's page and its log show hostile names unchanged, for a
    collection and for its export.
    """
    job = hostile_collection(tmp_path)
    exported = hostile_export(job, tmp_path)
    found, of_export = artifacts(job), artifacts(exported)
    APILogWorker.drain_all(timeout=60)  # which sends lines of the log later
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(job)
        logged = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[job])))
    assert run.name == one_line(TITLE)
    assert logged
    assert [line.message for line in logged if line.message != one_line(line.message)] == []
    assert found.keys() >= {"job", "errors", "report"}
    names, title = [one_line(name) for name in ALL], one_line(TITLE)
    open_and_assert_harmless(browser, f"artifacts/artifact/{found['errors']}", *names)
    browser.screenshot("hostile-errors-second", height=2500)
    open_and_assert_harmless(browser, f"artifacts/artifact/{found['job']}", title)
    browser.screenshot("hostile-page-second", height=1500)
    for page, text in {
        f"artifacts/artifact/{found['report']}": "errors.csv",
        "artifacts": f"job-{job}",
        f"runs/flow-run/{job}": title,
        f"artifacts/artifact/{of_export['errors']}": names[0],
        f"artifacts/artifact/{of_export['job']}": title,
        f"runs/flow-run/{exported}": title,
    }.items():
        open_and_assert_harmless(browser, page, text)
    for kind, texts in {"errors": names, "job": [title]}.items():
        browser.go_in_first_ui(f"artifacts/artifact/{found[kind]}")
        assert_harmless(browser, *texts)
        browser.screenshot(f"hostile-{kind}-first", height=2500)


@pytest.mark.parametrize("kind", list(JobKind))
def test_the_runs_page_shows_every_documented_status(browser: Browser, kind: JobKind) -> None:
    """The badge of each job reads as the documented status, for every row of the table of its kind."""
    open_documented_runs(browser, kind)
    browser.screenshot(f"runs-{kind.value.lower()}s", height=1550)


def test_a_collection_from_its_form_to_its_deletion(served: Served, browser: Browser, tmp_path: Path) -> None:
    """Each step is a click, and its outcome is shown on the page of the run.

    - The form's fields have titles; a saved source is picked by its name; the run collects as the form says.
    - Retry of a Partially completed job, after the cause was removed, collects the items that had failed.
    - The UI offers Retry for a Successfully completed job too: `served.test_buttons` holds that it changes nothing.
    - Delete removes the run from Prefect; the job's evidence is still in the staging store, and can be read.
    """
    root = tmp_path / "case files"
    root.mkdir()
    for name in ("one.txt", "two.txt", "three.pdf"):
        (root / name).write_text(name)
    (root / "link.txt").symlink_to("missing.bin")
    FileSource(root=root, follow_symlinks=True).save("case-files", overwrite=True)
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
    browser.wait_for_status("Partially completed")
    browser.screenshot("partially-completed")
    assert _counts(jobs.get(run)) == (3, 2)

    (root / "missing.bin").write_text("found")
    browser.retry()
    browser.wait_for_status("Successfully completed")
    job = jobs.get(run)
    assert (len(job.attempts), _counts(job)) == (2, (3, 3))

    assert {"Retry", "Delete"} <= set(browser.choices())
    browser.delete()
    browser.wait(lambda: "/runs/flow-run/" not in browser.driver.current_url, lambda: "the Runs page")
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_flow_run(run)
    result = jobs.get(run, tmp_path / "store").result
    assert result is not None
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED


def _counts(job: jobs.Job) -> tuple[int, int]:
    assert job.result is not None
    return job.result.counts.found, job.result.counts.succeeded


def test_what_a_job_shows_leads_to_the_console(browser: Browser, tmp_path: Path) -> None:
    """From the run's tab Artifacts to its page, and by a click into the console: it asks for the token, and shows the
    job; a report and the table of errors, clicked in the other artifacts, need no login any more.
    """
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "broken").symlink_to("nothing")
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    grant = Grant("anna", Role.OPERATE, "anna-token-of-20-characters")
    with (
        running_console(ConsoleOptions(port=0, grants=(grant,)), print) as url,
        entered_address(url, is_chosen=False),
    ):
        source = FileSource(root=tmp_path / "root", follow_symlinks=True)
        job = collect(source=source, store=tmp_path / "store", return_state=True).state_details.flow_run_id
        found = artifacts(job)
        browser.open_run(job)
        browser.click("//*[@role='tab'][normalize-space()='Artifacts']")
        browser.click(f"//a[contains(@href, '/artifacts/key/job-{job}')]")
        browser.click(f"//a[contains(@href, '{found['job']}')]")
        browser.see("//a[.='Open this job in the console']")
        browser.screenshot("artifact-console", height=1500)
        follow(browser, "Open this job in the console")
        browser.see("//input[@name='token']").send_keys(grant.token)
        browser.click("//button[.='Log in']")
        browser.see("//aside//li[contains(., 'not_found')]")
        browser.screenshot("artifact-led-to")
        assert browser.driver.current_url == f"{url}/jobs/{job}"
        browser.go(f"artifacts/artifact/{found['errors']}")
        follow(browser, "as a table")
        browser.see("//tbody//bdi[.='broken']")
        browser.go(f"artifacts/artifact/{found['report']}")
        follow(browser, "errors.csv")
        report = f"{job}-errors-0001.csv"
        saved = browser.wait(lambda: next(tmp_path.glob(report), None), lambda: f"{report} in {tmp_path}")
        assert "broken" in saved.read_text(encoding="utf-8-sig")


def follow(browser: Browser, link: str) -> None:
    """Click a link of an artifact, and go to the page that it opens, in this tab or in another."""
    tabs = browser.driver.window_handles
    browser.click(f"//a[.='{link}']")
    for tab in set(browser.driver.window_handles) - set(tabs):
        browser.driver.close()
        browser.driver.switch_to.window(tab)


def test_a_draft_is_started_and_canceled(served: Served, browser: Browser, tmp_path: Path) -> None:
    """A draft waits, and its page offers Resume, which starts it. Cancel ends the job, whose source never comes to an
    end; the page shows Canceled, and offers Retry, which starts it again (`served.test_buttons`).
    """
    with HostileStore({f"{n}.txt": b"content" for n in range(3)}) as store:
        store.getting = lambda key, honest: replace(honest, body=b"", forever=b"x", pause=0.2)
        source = ObjectStoreSource(url="s3://bucket", endpoint_url=store.url, anonymous=True)
        draft = jobs.draft_collection(source, name="draft", store=tmp_path / "store")
        browser.open_run(draft.id)
        assert browser.status() == "Drafted"
        assert {"Resume", "Delete"} <= set(browser.choices())
        browser.screenshot("draft")
        browser.resume()
        browser.wait_for_status("In progress")
        browser.screenshot("in-progress")
        browser.cancel()
        browser.wait_for_status("Canceled")
        browser.screenshot("canceled")
        assert {"Retry", "Delete"} <= set(browser.choices())
    job = jobs.get(draft.id)
    assert (job.status, job.result and job.result.counts.succeeded) == (JobStatus.CANCELED, 0)
