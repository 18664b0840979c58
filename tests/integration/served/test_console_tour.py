"""The console from a new source to a verified package and its deletion, by clicking alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect import jobs, verify
from tests.integration.jobs.every_status import Desk
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.console_browser import console_browser, saved, serious
from tests.integration.served.test_console import HOSTILE
from tests.integration.ui.browser import Browser

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def browser(served: PrefectServer, tmp_path: Path) -> Iterator[Browser]:
    """Chromium, logged in to a console over the server, which saves what it downloads."""
    with console_browser(served, tmp_path / "downloads") as browser:
        yield browser


def fill(browser: Browser, field: str, text: str) -> None:
    """Type into a field of a form."""
    browser.see(f"//*[@id='{field}']").send_keys(text)


def status(browser: Browser, text: str) -> None:
    """Wait until the side sheet shows a status."""
    browser.see(f"//aside//article/p[1]/span[normalize-space()='{text}']")


def sheet_job(browser: Browser) -> jobs.Job:
    """Return the job whose side sheet the address names."""
    return jobs.get(browser.driver.current_url.partition("/jobs/")[2][:36])


def test_from_a_new_source_to_the_deletion(browser: Browser, desk: Desk, tmp_path: Path) -> None:
    """A new source is tested, what filters take is counted, a draft is saved, started and partially completed; its
    error report is downloaded and what failed is retried; the collection is exported (a destination in the source is
    refused in the dialog), the package is downloaded and verified, and both jobs are deleted. axe-core finds nothing
    serious.
    """
    desk.break_one()
    downloads = tmp_path / "downloads"
    browser.click("//nav[@aria-label='Pages']/a[.='New collection']")
    browser.click("//label[normalize-space()='A new source']")
    fill(browser, "location", str(desk.root))
    fill(browser, "source_name", desk.name)
    fill(browser, "save_as", desk.name)
    fill(browser, "name", f"{HOSTILE} {desk.name}")
    fill(browser, "store_location", desk.store)
    browser.click("//input[@name='follow_symlinks']")
    browser.click("//button[.='Test']")
    browser.see("//*[@id='sample']//*[contains(., 'first 20 items')]")
    browser.see("//*[@id='count']//p[contains(., '40 of all 41 items')]")  # the broken one is reported
    fill(browser, "exclude", "0*.txt")
    browser.see("//*[@id='count']//p[contains(., '30 of all 41 items')]")
    assert serious(browser) == []
    browser.screenshot("console-new", height=1900)
    browser.click("//button[.='Save draft']")
    browser.see("//aside//h2[contains(., '<img src=x')]")
    status(browser, "Drafted")
    collection = sheet_job(browser)
    browser.click("//aside//button[.='Start']")
    status(browser, "Partially completed")
    browser.see("//aside//li[contains(., 'not_found') and contains(., 'Restore it')]")
    browser.see("//aside//dt[.='Without paths like']/following-sibling::dd[contains(., '0*.txt')]")
    assert browser.driver.title != "hit"
    browser.click("//aside//a[.='Errors']")
    browser.see("//th[contains(., 'broken')]")
    browser.click("//a[.='Download as CSV']")
    assert "not_found" in saved(browser, downloads, ".csv").read_text(encoding="utf-8-sig")
    desk.mend()
    browser.click("//input[@name='row']")
    browser.click("//button[.='Retry the selected']")
    status(browser, "Successfully completed")
    browser.click("//aside//a[.='Items']")
    browser.see("//*[contains(., 'broken')]")
    browser.driver.get(f"{browser.ui}/jobs/{collection.id}")
    browser.click("//aside//button[.='Export']")
    place = browser.see("//dialog//input[@id='location']")
    place.send_keys(str(desk.root / "out"))
    browser.click("//dialog//button[@type='submit']")
    browser.see("//dialog//*[@role='alert'][contains(., 'lies in the data source')]")
    place.clear()
    place.send_keys(str(desk.out))
    assert serious(browser) == []
    browser.screenshot("console-export")
    browser.click("//dialog//button[@type='submit']")
    browser.see("//aside//h2[contains(., 'export of')]")
    status(browser, "Successfully completed")
    exported = sheet_job(browser)
    browser.click("//aside//button[.='Download']")
    fingerprint = browser.see("//dialog//dd/code").text
    assert serious(browser) == []
    browser.screenshot("console-download")
    browser.click("//dialog//a[.='Download']")
    package = saved(browser, downloads, ".zip")
    verified = verify(package)
    assert (verified.valid, verified.items, verified.fingerprint) == (True, 31, fingerprint)
    assert exported.result is not None
    assert verified.fingerprint == exported.result.fingerprint
    browser.click("//dialog//button[.='Close']")
    for job in (exported, collection):
        browser.driver.get(f"{browser.ui}/jobs/{job.id}")
        browser.click("//aside//button[.='Delete']")
        browser.see("//dialog//h3[.='What stays']")
        browser.click("//dialog//button[.='Delete']")
        browser.see("//*[@id='messages'][contains(., 'was deleted')]")
        browser.gone("//aside//article")
    assert {job.id for job in jobs.list_jobs(None)}.isdisjoint({collection.id, exported.id})
    assert package.exists()
    assert any(desk.out.iterdir())
