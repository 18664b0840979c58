"""The console in Chromium, over a server whose jobs a `serve` runs: what a user does by clicking alone."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from selenium.webdriver.common.keys import Keys

from prefect_collect import jobs
from prefect_collect.console.job_index import JobIndex
from prefect_collect.job_folder import custody_log
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus
from tests.integration.jobs.every_status import Desk, until
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.console_browser import ANNA, choose, console_browser, row, serious, shows
from tests.integration.ui.browser import Browser

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HOSTILE = "<img src=x onerror=document.title='hit'> **b** [l](javascript:1) \u202etxt.exe"


PDF = (
    b"%%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R %s >>\nendobj\n"
    b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%%%EOF\n"
)


def drawn(browser: Browser) -> list[str]:
    """Return the paths of the documents that Chromium's PDF viewer draws: each has a target of its own."""
    found = browser.driver.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
    return [one["url"].removeprefix(browser.ui) for one in found if one["type"] == "iframe"]


@pytest.fixture(scope="module")
def browser(served: PrefectServer) -> Iterator[Browser]:
    """Chromium, logged in to a console over the server."""
    with console_browser(served) as browser:
        yield browser


def test_jobs_of_one_source_queue_and_move_up(browser: Browser, desk: Desk) -> None:
    """Three jobs of a source are started by clicking, one of them by the keyboard; the page shows live which one runs
    and the places of the others, who is canceled, and who moves up. Escape closes the sheet. The custody log names the
    console's user.
    """
    drafts = [
        jobs.draft_collection(desk.slow(), name=f"{desk.name} {n}", store=desk.store, concurrency=1) for n in range(3)
    ]
    browser.driver.get(f"{browser.ui}/?text={desk.name}")
    for draft in drafts:
        browser.see(shows(draft, "Drafted"))
    choose(browser, drafts[0], "Start")
    browser.see(shows(drafts[0], "In progress"))
    _start_by_keyboard(browser, drafts[1])
    browser.see(shows(drafts[1], "Queued 1 in the queue"))
    choose(browser, drafts[2], "Start")
    browser.see(shows(drafts[2], "Queued 2 in the queue"))
    browser.see(f"{row(drafts[0])}//progress")
    browser.see(f"//section[h2='Sources']//li[contains(., '{desk.name}') and contains(., '1 in progress, 2 queued')]")
    browser.click(f"//a[@id='open-{drafts[2].id}']")
    browser.see("//aside//p[contains(., 'Place in the queue: 2')]")
    browser.see(f"//aside//a[contains(@href, '{drafts[0].id}')]")
    assert serious(browser) == []
    browser.screenshot("console-queue")
    choose(browser, drafts[0], "Cancel")
    browser.see(shows(drafts[0], "Canceled"))
    browser.see(shows(drafts[1], "In progress"))
    browser.see(shows(drafts[2], "Queued 1 in the queue"))
    browser.see("//aside//p[contains(., 'Place in the queue: 1')]")
    desk.gate.touch()
    for draft in drafts[1:]:
        browser.see(shows(draft, "Successfully completed"))
    browser.see("//aside//*[contains(., 'Successfully completed')]")
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.gone("//aside//article")
    folder = jobs.get(drafts[0].id).folder
    asked = {entry.action: entry.who for entry in custody_log.entries(folder) if entry.action.endswith("-requested")}
    assert asked == {"start-requested": "anna", "cancel-requested": "anna"}
    choose(browser, drafts[0], "Delete")
    browser.gone(row(drafts[0]))
    browser.see("//*[@id='messages'][contains(., 'was deleted')]")


def _start_by_keyboard(browser: Browser, draft: jobs.Job) -> None:
    """Open the menu of a draft's row, go through its two entries, and take Start, all by keys."""
    browser.see(f"{row(draft)}//button").send_keys(Keys.ENTER)
    browser.see("//*[@id='menu']//*[@role='menuitem']")
    for key, entry in ((Keys.ARROW_DOWN, "Delete"), (Keys.ARROW_UP, "Start")):
        browser.driver.switch_to.active_element.send_keys(key)
        assert browser.driver.switch_to.active_element.text == entry
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)


def test_an_open_page_shows_what_changes_elsewhere(
    browser: Browser, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sheet of a job stays open when another job is deleted, and is closed when its own is deleted elsewhere. While
    Prefect does not answer, a message says so, and goes when it answers again.
    """
    job, other = (jobs.draft_collection(desk.source(), name=f"{n} {desk.name}", store=desk.store) for n in "ab")
    browser.driver.get(f"{browser.ui}/jobs/{job.id}?text={desk.name}")
    choose(browser, other, "Delete")
    browser.gone(row(other))
    browser.see("//aside//article")

    def away(_: JobIndex) -> None:
        raise httpx.ConnectError("away")

    with monkeypatch.context() as patch:
        patch.setattr(JobIndex, "rows", away)
        browser.see("//*[@id='messages'][contains(., 'does not answer')]")
    browser.gone("//*[@id='messages']/p")
    jobs.delete(job.id)
    browser.gone("//aside//article")
    browser.see(f"//*[@id='messages'][contains(., '{job.id}')]")


def test_items_are_previewed_and_a_selection_is_retried(browser: Browser, desk: Desk) -> None:
    """Preview leads to the items, and to one of them in its frame; the look is in the custody log. A PDF is drawn by
    the browser's viewer, and one with a script is not given to it. The errors lead to a retry of what is selected, also
    if it must wait for its turn first; the side sheet draws how the collection grew. axe-core finds nothing serious.
    """
    desk.break_one()
    (desk.root / "broken too").symlink_to("nothing")
    (desk.root / "drawn.pdf").write_bytes(PDF % b"")
    (desk.root / "script.pdf").write_bytes(PDF % b"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>")
    job = jobs.draft_collection(desk.source(), name=f"items {desk.name}", store=desk.store)
    jobs.start(job.id, here=False)
    assert jobs.wait(job.id).status is JobStatus.PARTIALLY_COMPLETED
    browser.driver.get(f"{browser.ui}/jobs/{job.id}?text={desk.name}")
    browser.see("//aside//*[name()='svg'][starts-with(@aria-label, 'Items over time: 42 ')]")
    browser.click("//aside//a[normalize-space()='Preview']")
    browser.see("//p[contains(., '44 items, after attempt 1')]")
    assert serious(browser) == []
    browser.screenshot("console-items")
    browser.see("//input[@name='path']").send_keys("07")
    browser.click("//button[.='Filter']")
    browser.see("//p[contains(., '1 item match')]")
    browser.click("//tbody//a[contains(., '07.txt')]")
    frame = browser.see("//iframe")
    browser.driver.switch_to.frame(frame)
    assert browser.see("//pre").text == "content 7"
    browser.driver.switch_to.default_content()
    assert [entry.details["item"] for entry in custody_log.entries(job.folder) if entry.action == "viewed"] == [
        "07.txt"
    ]
    browser.driver.get(f"{browser.ui}/jobs/{job.id}/items/41")
    browser.driver.switch_to.frame(browser.see("//iframe"))
    browser.see("//pre[contains(., 'The PDF is not shown')]")
    browser.driver.get(f"{browser.ui}/jobs/{job.id}/items/40")
    browser.wait(lambda: f"/jobs/{job.id}/items/40/content?attempt=1" in drawn(browser), lambda: "the PDF's viewer")
    desk.mend()
    before = jobs.draft_collection(desk.slow(), name=f"before {desk.name}", store=desk.store, concurrency=1)
    jobs.start(before.id, here=False)
    until(lambda: jobs.get(before.id).status is JobStatus.IN_PROGRESS, "the slot to be taken")
    browser.driver.get(f"{browser.ui}/jobs/{job.id}/errors")
    assert serious(browser) == []
    browser.screenshot("console-errors")
    browser.click("//tr[.//bdi[.='broken']]//input[@type='checkbox']")
    browser.click("//button[.='Retry the selected']")
    browser.see("//aside//p[contains(., 'Place in the queue: 1')]")
    desk.gate.touch()
    browser.see("//aside//p[contains(., '43 of 44 items succeeded')]")
    result = jobs.get(job.id).result
    assert result is not None
    assert (result.attempt, result.this_attempt.found) == (2, 1)


def test_a_step_that_is_not_offered_is_refused_in_words(browser: Browser, desk: Desk) -> None:
    """A page that is older than the job's status offers a step in vain: the refusal is shown, and nothing changes."""
    job = jobs.draft_collection(desk.source(), store=desk.store)
    browser.driver.get(f"{browser.ui}/jobs/{job.id}?text={desk.name}")
    button = browser.see("//aside//button[normalize-space()='Start']")
    browser.driver.execute_script(
        "arguments[0].setAttribute('hx-post', arguments[1]); htmx.process(arguments[0])",
        button, f"/jobs/{job.id}/retry",
    )  # fmt: skip
    browser.click("//aside//button[normalize-space()='Start']")
    browser.see("//*[@id='messages'][contains(., 'Retry') and contains(., 'Start')]")
    assert jobs.get(job.id).status is JobStatus.DRAFTED


def test_the_login_page(browser: Browser) -> None:
    """A user without a session is asked for a token, which a form takes; axe-core finds nothing serious there."""
    browser.driver.get(browser.ui)  # cookies are deleted of the page that is open
    browser.driver.delete_all_cookies()
    browser.driver.get(f"{browser.ui}/?status=Failed")
    browser.see("//label[.='Token']")
    assert serious(browser) == []
    browser.see("//input[@name='token']").send_keys("wrong")
    browser.click("//button[.='Log in']")
    browser.see("//*[@role='alert'][contains(., 'not accepted')]")
    browser.see("//input[@name='token']").send_keys(ANNA.token)
    browser.click("//button[.='Log in']")
    browser.see("//h1[.='Jobs']")


def test_a_source_is_suspended_and_its_limit_set(browser: Browser, desk: Desk) -> None:
    """On the page of sources: the lifecycle, the limit and a schedule are changed by clicking; the plot has a name."""
    desk.source().save(desk.name)
    jobs.start(jobs.draft_collection(desk.source(), store=desk.store).id, here=False)
    browser.driver.get(f"{browser.ui}/sources")
    card = f"//li[section[.//h2[.='{desk.name}']]]"
    browser.see(f"{card}//span[.='ACTIVE']")
    browser.click(f"{card}//button[.='Suspend']")
    browser.see(f"{card}//span[.='SUSPENDED']")
    field = browser.see(f"{card}//input[@name='collection']")
    field.clear()
    field.send_keys("2")
    browser.click(f"{card}//button[.='Set']")
    browser.wait(lambda: jobs.source_limits().get((JobKind.COLLECTION, desk.name)) == 2, lambda: "the limit")
    assert serious(browser) == []
    browser.screenshot("console-sources")
    [source] = [one for one in jobs.list_sources() if one.name == desk.name]
    assert source.lifecycle is LifecycleStatus.SUSPENDED


def test_jobs_that_were_deleted_in_prefect(browser: Browser, desk: Desk) -> None:
    """Below the table, the evidence of a job whose run was deleted in Prefect is kept by one click, and that of another
    one is deleted when the user has read what goes and what stays; the page has no serious finding of axe-core.
    """
    kept, gone = (desk.collected() for _ in range(2))
    with get_client(sync_client=True) as client:
        for job in (kept, gone):
            client.delete_flow_run(UUID(job.id))
    jobs.find_deleted(desk.store)
    browser.driver.get(f"{browser.ui}/?text={desk.name}")
    browser.see(f"//button[@id='keep-{gone.id}']")
    assert serious(browser) == []
    browser.click(f"//button[@id='keep-{kept.id}']")
    browser.see("//*[@id='deleted']//*[@role='status'][contains(., 'is kept')]")
    browser.click("//*[@id='kept']/summary")
    browser.screenshot("console-deleted")
    browser.see(f"//*[@id='kept']//*[contains(., '{kept.id[:8]}')]")
    browser.click(f"//button[@id='delete-evidence-{gone.id}']")
    browser.see("//dialog//*[contains(., 'Its run was deleted in Prefect.')]")
    assert serious(browser) == []
    browser.click("//dialog//button[normalize-space()='Delete evidence']")
    browser.see("//*[@id='messages'][contains(., 'The evidence was deleted.')]")
    browser.gone(f"//button[@id='keep-{gone.id}']")
    who = [(entry.action, entry.who) for job in (kept, gone) for entry in custody_log.entries(job.folder)[-1:]]
    assert who == [("kept", "anna"), ("deleted", "anna")]
