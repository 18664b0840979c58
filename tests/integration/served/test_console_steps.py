"""Each documented next step of each status of both kinds, taken in the console by clicking alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefect_collect import jobs
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.packages import verify
from prefect_collect.statuses import JobKind, JobStatus, NextStep, job_statuses, next_steps
from tests.integration.jobs.every_status import FILES, Desk, opened_desk
from tests.integration.jobs.gated_source import GatedFiles
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.console_browser import choose, confirm, console_browser, open_menu, row, saved
from tests.integration.served.test_auto_exports import export_of
from tests.integration.ui.browser import Browser

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_HEADING = "//aside//article/p[1]"
_STEPS = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText.trim())"
_TABLE = {
    (kind, status, step) for kind in JobKind for status in job_statuses(kind) for step in next_steps(kind, status)
}
"""Every cell of the specification's two tables, which `tests/data/job-statuses.md` holds word by word."""


@dataclass
class User:
    """A user with a browser: which steps of which statuses were taken, and which job was seen in which status."""

    browser: Browser
    downloads: Path
    taken: set[tuple[JobKind, JobStatus, NextStep]] = field(default_factory=set)
    checked: set[tuple[str, JobStatus]] = field(default_factory=set)

    def see(self, job: jobs.Job, status: JobStatus) -> None:
        """Open the job, and wait until its sheet and its row show the status, with the steps of the specification."""
        if f"/jobs/{job.id}?" not in self.browser.driver.current_url:
            self.browser.driver.get(f"{self.browser.ui}/jobs/{job.id}?text={job.source}")
        self.browser.see(f"{_HEADING}[normalize-space()='{status} {job.kind} of {job.source}']")
        self.browser.see(f"{row(job)}//span[normalize-space()='{status}']")
        if (job.id, status) in self.checked:
            return
        self.checked.add((job.id, status))
        wanted = [step.value for step in next_steps(job.kind, status)]
        assert self.browser.driver.execute_script(_STEPS, "aside .steps > *") == wanted
        open_menu(self.browser, job)
        assert self.browser.driver.execute_script(_STEPS, "#menu [role=menuitem]") == wanted
        self.browser.driver.execute_script("document.getElementById('menu').hidePopover()")

    def take(self, job: jobs.Job, status: JobStatus, step: NextStep, *, in_row: bool = False) -> None:
        """See the job in that status, and click a step in its sheet, or in the menu of its row."""
        self.see(job, status)
        self.taken.add((job.kind, status, step))
        if in_row:
            choose(self.browser, job, step.value)
        else:
            self.browser.click(f"//aside//*[contains(@class, 'step') and @id][normalize-space()='{step}']")
            confirm(self.browser, step.value)

    def delete(self, job: jobs.Job, status: JobStatus, *, in_row: bool = False) -> None:
        """Delete the job, and see that it is gone."""
        self.take(job, status, NextStep.DELETE, in_row=in_row)
        self.browser.see(f"//*[@id='messages'][contains(., '{job.id}') and contains(., 'was deleted')]")
        self.browser.gone(row(job))
        self.browser.gone("//aside//article")

    def error_report(self, code: str) -> list[dict[str, str]]:
        """Download the error report of the job whose sheet is open; return its rows, which all have that code."""
        self.browser.click("//aside//a[.='Errors']")
        self.browser.click("//a[.='Download as CSV']")
        report = saved(self.browser, self.downloads, ".csv")
        with report.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        report.unlink()
        assert {one["error_code"] for one in rows} == {code}
        assert all(one["suggested_action"] for one in rows)
        return rows

    def preview(self, job: jobs.Job, status: JobStatus, path: str, *, in_row: bool = False) -> None:
        """Look at an item of the collection."""
        self.take(job, status, NextStep.PREVIEW, in_row=in_row)
        self.browser.click(f"//tbody//a[.='{path}']")
        self.browser.driver.switch_to.frame(self.browser.see("//iframe"))
        assert self.browser.see("//pre").text == f"content {int(path[:2])}"
        self.browser.driver.switch_to.default_content()

    def export(self, job: jobs.Job, status: JobStatus, to: Path, *, in_row: bool = False) -> jobs.Job:
        """Export the collection to a folder, and return the export, whose sheet is open then."""
        self.take(job, status, NextStep.EXPORT, in_row=in_row)
        self.browser.see("//dialog//form")
        for typed in self.browser.driver.find_elements("xpath", "//dialog//select[@id='destination']/option[1]"):
            typed.click()  # other tests may have saved stores
        self.browser.see("//dialog//input[@id='location']").send_keys(str(to))
        self.browser.click("//dialog//button[@type='submit']")
        self.browser.gone("//dialog[@open]")
        self.browser.see("//aside//h2[contains(., 'export of')]")
        return jobs.get(self.browser.driver.current_url.partition("/jobs/")[2][:36])

    def download(self, job: jobs.Job, status: JobStatus, *, in_row: bool = False) -> int:
        """Download the package, which verifies, and has the fingerprint that the page shows; return its items."""
        self.take(job, status, NextStep.DOWNLOAD, in_row=in_row)
        fingerprint = self.browser.see("//dialog//dd/code").text
        self.browser.click("//dialog//a[.='Download']")
        package = saved(self.browser, self.downloads, ".zip")
        checked = verify(package)
        assert (checked.valid, checked.fingerprint) == (True, fingerprint)
        package.unlink()
        self.browser.click("//dialog//button[.='Close']")
        return checked.items


@pytest.fixture
def user(served: PrefectServer, tmp_path: Path) -> Iterator[User]:
    """A user at the console, with a folder for downloads."""
    downloads = tmp_path / "downloads"
    with console_browser(served, downloads) as browser:
        yield User(browser, downloads)


@pytest.fixture
def source(desk: Desk) -> Iterator[GatedFiles]:
    """The desk's tree as a source of two shards with pauses, until the file `read` exists."""
    gate = desk.folder / "read"
    yield GatedFiles(name=desk.name, root=desk.root, gate=gate, pause=600, shard_items=FILES // 2, follow_symlinks=True)
    gate.touch()


def test_every_step_of_every_status(user: User, desk: Desk, source: GatedFiles, tmp_path: Path) -> None:
    """In each status of both kinds, the side sheet and the row's menu show the steps of the specification and no other,
    and each of these steps is taken, with its effect seen in the page.

    A collection and its export go through all of their statuses; some other jobs are there to be deleted.
    """
    with opened_desk(tmp_path / "others") as others:
        _delete_others(user, others)
    collection, behind = _through_failures(user, desk, source)
    user.delete(behind, JobStatus.CANCELED)
    first = user.export(collection, JobStatus.PARTIALLY_COMPLETED, desk.folder / "slow-1")
    user.see(first, JobStatus.IN_PROGRESS)
    desk.mend()
    user.take(collection, JobStatus.PARTIALLY_COMPLETED, NextStep.RETRY)
    user.preview(collection, JobStatus.SUCCESSFULLY_COMPLETED, "39.txt", in_row=True)
    second = user.export(collection, JobStatus.SUCCESSFULLY_COMPLETED, desk.folder / "slow-2", in_row=True)
    user.take(second, JobStatus.QUEUED, NextStep.CANCEL, in_row=True)
    user.see(second, JobStatus.CANCELED)
    user.take(first, JobStatus.IN_PROGRESS, NextStep.CANCEL)
    user.see(first, JobStatus.CANCELED)
    _export_through_failures(user, desk, collection, first)
    user.delete(collection, JobStatus.SUCCESSFULLY_COMPLETED, in_row=True)
    assert user.taken == _TABLE


def _delete_others(user: User, desk: Desk) -> None:
    auto = AutoExport(destination=str(desk.out))
    drafts = [jobs.draft_collection(desk.source(), store=desk.store, auto_export=auto) for _ in range(2)]
    awaiting, orphan = (export_of(draft) for draft in drafts)
    user.delete(awaiting, JobStatus.AWAITING_COLLECTION, in_row=True)
    user.delete(drafts[1], JobStatus.DRAFTED)
    user.browser.gone(row(orphan))  # nothing of it was ever started
    source = desk.source()
    desk.lose_root()
    user.delete(desk.collected(source), JobStatus.FAILED)
    desk.mend()
    desk.break_one()
    partial = desk.collected()
    user.delete(partial, JobStatus.PARTIALLY_COMPLETED)
    whole = desk.staged()
    desk.take_name(whole)
    user.delete(desk.exported(whole), JobStatus.FAILED)
    desk.mend()
    desk.lose_segment(whole)
    user.delete(desk.exported(whole), JobStatus.PARTIALLY_COMPLETED)


def _through_failures(user: User, desk: Desk, source: GatedFiles) -> tuple[jobs.Job, jobs.Job]:
    """Take a collection from a draft to Partially completed; return it, and one that was canceled behind it."""
    job, behind = (jobs.draft_collection(source, store=desk.store, concurrency=1) for _ in range(2))
    desk.lose_root()
    user.take(job, JobStatus.DRAFTED, NextStep.START)
    user.see(job, JobStatus.FAILED)
    assert len(user.error_report("not_found")) == 1
    desk.mend()
    desk.break_one()
    user.take(job, JobStatus.FAILED, NextStep.RETRY)
    user.see(job, JobStatus.IN_PROGRESS)
    user.take(behind, JobStatus.DRAFTED, NextStep.START, in_row=True)
    user.take(behind, JobStatus.QUEUED, NextStep.CANCEL)
    user.see(behind, JobStatus.CANCELED)
    user.take(job, JobStatus.IN_PROGRESS, NextStep.CANCEL, in_row=True)
    user.see(job, JobStatus.CANCELED)
    source.gate.touch()
    user.take(job, JobStatus.CANCELED, NextStep.START)
    user.see(job, JobStatus.PARTIALLY_COMPLETED)
    assert [one["path"] for one in user.error_report("not_found")] == ["broken"]
    user.preview(job, JobStatus.PARTIALLY_COMPLETED, "00.txt")
    return job, behind


def _export_through_failures(user: User, desk: Desk, collection: jobs.Job, job: jobs.Job) -> None:
    """Start an export that is Canceled; take it to its end over Failed and Partially completed, and delete it."""
    keys = [blob.key for blob in collection.folder.store.list(f"{collection.id}/segments/")]
    segments = [Path(collection.folder.store.locate(key)) for key in keys]
    lost = [desk.folder / f"segment {number}" for number in range(len(segments))]

    def move(places: list[Path], others: list[Path]) -> None:
        for place, other in zip(places, others, strict=True):
            place.rename(other)

    move(segments, lost)
    desk.gate.touch()
    user.take(job, JobStatus.CANCELED, NextStep.START)
    user.see(job, JobStatus.FAILED)
    assert len(user.error_report("segment_corrupt")) == FILES
    move(lost[1:], segments[1:])
    user.take(job, JobStatus.FAILED, NextStep.RETRY)
    delivered = user.download(job, JobStatus.PARTIALLY_COMPLETED)
    assert 0 < delivered == FILES - len(user.error_report("segment_corrupt"))
    move(lost[:1], segments[:1])
    user.take(job, JobStatus.PARTIALLY_COMPLETED, NextStep.RETRY, in_row=True)
    assert user.download(job, JobStatus.SUCCESSFULLY_COMPLETED, in_row=True) == FILES
    user.delete(job, JobStatus.SUCCESSFULLY_COMPLETED)
