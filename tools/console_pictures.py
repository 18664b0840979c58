"""The pictures of the console: what `tools.screenshots` photographs of its pages, on the jobs that it made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prefect_collect import jobs
from prefect_collect.blocks import FileSource
from tests.integration.ui.browser import Browser

PARTLY: Final = "mailbox of 2024"
"""The name of the partially completed collection."""

CUSTODIAN: Final = "Jordan Lee"


class ConsolePictures:
    """A user of the console that `serve` has started, which prints the link to log in to its log."""

    def __init__(self, browser: Browser, log: Path) -> None:
        self._browser, self._log = browser, log

    @contextmanager
    def _opened(self, path: str) -> Iterator[Browser]:
        """Open a page of the console, and go back to Prefect's UI afterwards."""
        link = self._browser.wait(self._link, lambda: "the link to log in")
        self._browser.driver.get(link)
        self._browser.see("//h1[.='Jobs']")
        self._browser.driver.get(f"{link.partition('/login')[0]}{path}")
        yield self._browser
        self._browser.driver.get(self._browser.ui)

    def _link(self) -> str:
        found = (line.partition("Log in: ")[2] for line in self._log.read_text().splitlines())
        return next((link for link in found if link), "")

    def new_collection(self) -> None:
        """Photograph the form with the sample of a saved source, what filters take, and the estimate of the whole."""
        [source] = [one for one in jobs.list_sources() if one.name == "mailbox"]
        with self._opened(f"/new?source={source.id}") as browser:
            browser.click("//button[.='Test']")
            browser.see("//*[@id='sample']//th[contains(., 'message-001.eml')]")
            browser.see("//*[@id='include']").send_keys("*.eml")
            browser.see("//*[@id='count']//*[contains(., '40') and contains(., 'taken')]")
            browser.click("//button[.='Estimate']")
            browser.see("//*[@id='estimate']//dd[.='40']")
            browser.see("//*[@id='custodian']").send_keys(CUSTODIAN)
            browser.screenshot("console-new", height=1900)

    def in_progress(self, job_id: object) -> None:
        """Photograph the side sheet of a job in progress."""
        with self._opened(f"/jobs/{job_id}") as browser:
            browser.see("//aside//progress")
            browser.screenshot("console-progress", height=900)

    def partly(self) -> None:
        """Photograph the table with the sheet of a partially completed job, its error report, and one of its items."""
        [job] = [one for one in jobs.list_jobs(None) if one.name == PARTLY]
        with self._opened("/") as browser:
            browser.click(f"//a[.='{PARTLY}']")
            browser.see("//aside//li[contains(., 'not_found')]")
            browser.see("//aside//figure")
            browser.screenshot("console", width=1700, height=1000)
        with self._opened(f"/jobs/{job.id}/errors") as browser:
            browser.click("(//input[@name='row'])[1]")
            browser.see("//button[.='Retry the selected']")
            browser.screenshot("console-errors", height=720)
        with self._opened(f"/jobs/{job.id}/items?path=message-001") as browser:
            browser.click("//th//a[contains(., 'message-001.eml')]")
            frame = browser.see("//iframe")
            browser.driver.switch_to.frame(frame)
            browser.see("//*[contains(., 'Subject')]")
            browser.driver.switch_to.default_content()
            browser.screenshot("console-preview", height=800)
        self._exported(job, self._browser)

    def _exported(self, job: jobs.Job, browser: Browser) -> None:
        """Photograph the dialog of an export, and that of its package's download."""
        with self._opened(f"/jobs/{job.id}"):
            browser.click("//aside//button[.='Export']")
            browser.see("//dialog//*[@id='location']").send_keys("/srv/exports")
            browser.screenshot("console-export", height=820)
            given = browser.see("//dialog//*[@id='location']")
            given.clear()
            given.send_keys(str(Path(job.folder.store.url).parent / "exports"))
            browser.click("//dialog//button[.='Export']")
            browser.see("//aside//h2[contains(., 'export of')]")
            browser.see("//aside//article/p[1]/span[.='Successfully completed']")
            browser.click("//aside//button[.='Download']")
            browser.see("//dialog//a[.='Download']")
            browser.screenshot("console-download", height=700)

    def sources(self) -> None:
        """Photograph the saved sources, of which one has a schedule."""
        load: object = FileSource.load("mailbox")
        assert isinstance(load, FileSource)
        schedule = jobs.schedule_collection(load, cron="0 3 * * 1-5", timezone="Europe/Berlin")
        try:
            with self._opened("/sources") as browser:
                browser.see("//*[contains(., '0 3 * * 1-5')]")
                browser.screenshot("console-sources", height=1130)
        finally:
            jobs.delete_schedule(schedule.id)
