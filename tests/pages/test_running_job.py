"""The pages of jobs that have not ended: their content, and their shape with texts from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from prefect_collect.job_folder.result import Counts
from prefect_collect.pages.ended_job import RunPage, step_command, steps_list
from prefect_collect.pages.pace import Pace
from prefect_collect.pages.running_job import (
    Heading,
    QueuePlace,
    progress_page,
    progress_text,
    queue_page,
    share_done,
    status_page,
)
from prefect_collect.statuses import JobKind, JobStatus, definition, job_statuses, next_steps
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.progress import Progress
from tests.pages.test_ended_job import CONSOLE, HOSTILE, hrefs, result_in, shape

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUN = RunPage("http://ui/runs/flow-run/job", has_deployment=True)
HEADING = Heading("job", JobKind.COLLECTION, "docs", "/docs", RUN)
STATUSES = [(kind, status) for kind in JobKind for status in job_statuses(kind)]


def under_way(*, listing: bool) -> tuple[Progress, Pace]:
    """Return the progress and pace of a job with 50 of 100 items after 10 s."""
    progress, pace = Progress("Collecting", found=100, found_bytes=2048, listing=listing), Pace()
    pace.look(progress, 0)
    progress.add(succeeded=49, failed=1, bytes=1024)
    pace.look(progress, 10)
    return progress, pace


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_every_next_step_of_every_status_has_a_command(kind: JobKind, status: JobStatus) -> None:
    """The page gives the exact command of each documented next step, in the documented order, and of no other."""
    lines = steps_list(kind, status, "job", RUN)
    steps = next_steps(kind, status)
    assert [line.split(":")[0] for line in lines] == [f"- {step}" for step in steps]
    for line, step in zip(lines, steps, strict=True):
        assert f"`prefect-collect {step.value.lower()} job" in line
        assert f"`{step_command(step, 'job')}`" in line


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_a_status_s_page_is_the_specification_s_words(kind: JobKind, status: JobStatus) -> None:
    """A job that was only drafted, awaits a collection or was refused also has a page, with the reason."""
    page = status_page(Heading("job", kind, "docs", "/docs"), status, "why *this*")
    assert page.startswith(f"# docs: {status}\n")
    assert definition(kind, status) in page
    assert "why \\*this\\*" in page


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_every_status_leads_to_the_console(kind: JobKind, status: JobStatus) -> None:
    """The page of every status links the job in the console, and with each next step that it offers; without a console
    there is no link.
    """
    page = status_page(Heading("job", kind, "docs", "/docs", console=CONSOLE), status)
    assert hrefs(page)["Open this job in the console"] == "https://collect.test/console/jobs/job"
    for line in steps_list(kind, status, "job", console=CONSOLE):
        items = "/items" if line.startswith("- Preview") else ""
        assert line.endswith(f", or [in the console](<https://collect.test/console/jobs/job{items}>)")
    assert hrefs(status_page(Heading("job", kind, "docs", "/docs"), status)) == {}


def test_jobs_that_wait_or_run_lead_to_the_console() -> None:
    """So do the pages of a queued job and of one in progress."""
    heading = Heading("job", JobKind.COLLECTION, "docs", "/docs", console=CONSOLE)
    for page in (queue_page(heading, QueuePlace(), NOW), progress_page(heading, *under_way(listing=True), NOW)):
        assert hrefs(page)["Open this job in the console"] == "https://collect.test/console/jobs/job"


def test_buttons_of_prefect_are_linked_where_they_do_the_same() -> None:
    """Resume starts a draft; Retry needs a deployment; Prefect's Delete leaves the staged data, so it is not linked."""
    draft = steps_list(JobKind.COLLECTION, JobStatus.DRAFTED, "job", RUN)
    assert "or Resume on [the run in Prefect](<http://ui/runs/flow-run/job>)" in draft[0]
    assert "Prefect](" not in draft[1]
    alone = RunPage(RUN.url, has_deployment=False)
    assert "or Retry on" in steps_list(JobKind.EXPORT, JobStatus.FAILED, "job", RUN)[1]
    assert "or Retry on" not in steps_list(JobKind.EXPORT, JobStatus.FAILED, "job", alone)[1]


def test_the_place_in_the_queue() -> None:
    """The page of a queued job shows its place, the reason, the job with the slot (linked) and the time waited."""
    holder = RunPage("http://ui/runs/flow-run/other")
    place = QueuePlace(
        "other", before=2, since=NOW - timedelta(seconds=90), holder_page=holder, reason="Waiting for a_b."
    )
    page = queue_page(HEADING, place, NOW)
    assert "**Place in the queue: 3**. Waiting for a\\_b." in page
    assert hrefs(page)["its run in Prefect"] == holder.url
    assert "`other`" in page
    assert "for 1 minute and 30 seconds" in page
    assert "`prefect-collect cancel job`" in page
    assert "In progress now" not in queue_page(HEADING, QueuePlace(), NOW)


def test_progress_after_the_listing() -> None:
    """The page shows phase, share, throughput, an estimate, and the result of the previous attempt."""
    progress, pace = under_way(listing=False)
    progress.settled = 7
    counts = Counts(found=9, succeeded=7, failed=2, bytes=7)
    before = result_in(DirectoryStore("/staging"), message="m")
    object.__setattr__(before, "this_attempt", counts)
    page = progress_page(HEADING, progress, pace, NOW, attempt=2, previous=before)
    assert "| phase | Collecting |" in page
    assert "| items | 50 of 100 (50.0 %) |" in page
    assert "| size | 1.0 KiB of 2.0 KiB |" in page
    assert "| throughput | 5.0 items/s, 102 bytes/s |" in page
    assert "| time left | about 10 seconds |" in page
    assert "7 items were settled by earlier attempts" in page
    assert "Attempt 1 ended Partially completed after 0 seconds, in which 7 of 9 items (7 bytes) succeeded." in page
    assert progress_text(progress, pace) == (
        "Collecting: 50 of 100 items, 1.0 KiB (102 bytes/s), 1 failed, about 10 seconds left"
    )


def test_progress_while_listing() -> None:
    """While the source is listed there is no share, and the estimate is a lower bound."""
    progress, pace = under_way(listing=True)
    page = progress_page(HEADING, progress, pace, NOW)
    assert "| items | 50 of 100+ |" in page
    assert "| time left | at least 10 seconds |" in page


@pytest.mark.parametrize(("found", "done", "listing", "share"), [(0, 0, True, 0), (5, 5, True, 99), (5, 5, False, 100)])
def test_the_share_is_whole_only_after_the_listing(found: int, done: int, listing: bool, share: float) -> None:
    """The share is 100 only if the listing has ended and every item has an outcome."""
    assert share_done(Progress(found=found, succeeded=done, listing=listing)) == share


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_nothing_from_outside_changes_the_pages(name: str, source: str, holder: str, message: str) -> None:
    """Whatever characters a name, a location, an id or a message has, the pages keep their shape."""
    hostile = Heading("job", JobKind.COLLECTION, f"n{name}", f"s{source}", RUN)
    progress, pace = under_way(listing=False)
    place, plain_place = QueuePlace(f"h{holder}", reason=f"r{message}"), QueuePlace("h", reason="r")
    assert shape(queue_page(hostile, place, NOW)) == shape(queue_page(HEADING, plain_place, NOW))
    assert shape(progress_page(hostile, progress, pace, NOW)) == shape(progress_page(HEADING, progress, pace, NOW))
    failed = status_page(hostile, JobStatus.FAILED, f"m{message}")
    assert shape(failed) == shape(status_page(HEADING, JobStatus.FAILED, "m"))
