"""The page of a job that has not ended: its place in the queue or its progress, and its next steps, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prefect_collect.escaping import markdown, markdown_code, markdown_link
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.console_links import ConsoleLinks
from prefect_collect.pages.ended_job import RunPage, console_line, custodian_text, steps_list
from prefect_collect.pages.pace import Pace, TimeLeft
from prefect_collect.pages.text import bytes_text, duration_text
from prefect_collect.statuses import JobKind, JobStatus, definition
from prefect_collect.threads.progress import Progress

PAGE_EVERY: Final = 10.0
"""Seconds between updates of a running job's page."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The data of a job that every page of it shows.

    Attributes:
        job_id: The job's id.
        kind: Collection or export.
        name: The name of its flow run.
        source: The data source's location or name, as the user knows it.
        run_page: The page of its flow run in Prefect's UI, if known.
        custodian: The person or department whose data is collected; "" if it is not known.
        console: The links to the console, if one is known.
    """

    job_id: str
    kind: JobKind
    name: str
    source: str
    run_page: RunPage | None = None
    custodian: str = ""
    console: ConsoleLinks | None = None


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A job's place in the queue of its data source.

    Attributes:
        holder: The id of the job that has the source's slot; None if no job has it or its id is not known.
        before: The number of queued jobs that start before this one.
        reason: The reason why it is queued, in a sentence; "" if it is not known.
        since: The time at which it was queued.
        holder_page: The page of the holder's flow run in Prefect's UI, if known.
    """

    holder: str | None = None
    before: int = 0
    since: datetime | None = None
    holder_page: RunPage | None = None
    reason: str = ""


def status_page(heading: Heading, status: JobStatus, message: str = "") -> str:
    """Return the page of a job that only has a status: Drafted, Awaiting collection, or ended before it ran."""
    return _page(heading, status, [markdown(message), ""] if message else [])


def queue_page(heading: Heading, place: QueuePlace, now: datetime) -> str:
    """Return the page of a queued job; `now` is in UTC."""
    lines = [f"**Place in the queue: {place.before + 1:,}**. {markdown(place.reason)}".rstrip(), ""]
    if place.holder is not None:
        page = place.holder_page
        opened = "" if page is None else f" ({markdown_link('its run in Prefect', page.url)})"
        lines += [f"In progress now: job {markdown_code(place.holder)}{opened}.", ""]
    if place.since is not None:
        waited = duration_text(max(0.0, (now - place.since).total_seconds()))
        lines += [f"Queued since {_time(place.since)}, for {waited}.", ""]
    return _page(heading, JobStatus.QUEUED, [*lines, f"As of {_time(now)}.", ""])


def progress_page(
    heading: Heading,
    progress: Progress,
    pace: Pace,
    now: datetime,
    *,
    attempt: int = 1,
    previous: TaskResult | None = None,
) -> str:
    """Return the page of a job in progress.

    Args:
        heading: The job.
        progress: Its progress.
        pace: The samples of its progress.
        now: The present time, in UTC.
        attempt: The number of this attempt.
        previous: The result of the previous attempt, to compare with.
    """
    rate = pace.recent()
    left = pace.left(progress)
    rows = [
        ("phase", markdown(progress.phase)),
        ("items", f"{progress.done:,} of {found_text(progress)}{_share(progress)}"),
        ("size", f"{bytes_text(progress.bytes)}{_of_bytes(progress)}"),
        ("failed", f"{progress.failed:,}"),
        ("skipped", f"{progress.skipped:,}"),
        *([("elsewhere, not attempted", f"{progress.elsewhere:,}")] if progress.elsewhere else []),
        ("throughput", f"{rate.items:,.1f} items/s, {bytes_text(rate.bytes)}/s"),
        ("time left", "not known yet" if left is None else left_text(left)),
        ("running for", duration_text(progress.seconds)),
        ("attempt", f"{attempt}"),
    ]
    body = ["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows), ""]
    if progress.settled:
        body += [f"{progress.settled:,} items were settled by earlier attempts and are not tried again.", ""]
    if previous is not None:
        body += [_compared(previous), ""]
    renewed = f"As of {_time(now)}; updated about every {PAGE_EVERY:.0f} s while the job runs."
    return _page(heading, JobStatus.IN_PROGRESS, [*body, renewed, ""])


def progress_text(progress: Progress, pace: Pace) -> str:
    """Return one line on the progress of an attempt."""
    left = pace.left(progress)
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    return (
        f"{markdown(progress.phase)}: {progress.done:,} of {found_text(progress)} items, {bytes_text(progress.bytes)}"
        f" ({bytes_text(pace.recent().bytes)}/s){failed}{'' if left is None else f', {left_text(left)} left'}"
    )


def share_done(progress: Progress) -> float:
    """Return the percentage of the found items that have an outcome; never 100 while the source is being listed."""
    share = min(100.0, 100.0 * progress.done / progress.found) if progress.found else 0.0
    return min(share, 99.0) if progress.listing else share


def found_text(progress: Progress) -> str:
    """Return the number of items found, with a plus sign while there may be more."""
    return f"{progress.found:,}{'+' if progress.listing else ''}"


def left_text(left: TimeLeft) -> str:
    """Return the estimate in words."""
    return f"{'at least' if left.at_least else 'about'} {duration_text(left.seconds)}"


def _page(heading: Heading, status: JobStatus, body: list[str]) -> str:
    lines = [
        f"# {markdown(heading.name)}: {status}",
        "",
        definition(heading.kind, status),
        "",
        *console_line(heading.job_id, heading.console),
        *body,
        "## Next steps",
        "",
        *steps_list(heading.kind, status, heading.job_id, heading.run_page, heading.console),
        "",
        f"Source: {markdown_code(heading.source)}. {custodian_text(heading.custodian)}Job: "
        f"{markdown_code(heading.job_id)}.",
    ]
    return "\n".join(lines) + "\n"


def _share(progress: Progress) -> str:
    return "" if progress.listing or not progress.found else f" ({share_done(progress):.1f} %)"


def _of_bytes(progress: Progress) -> str:
    more = "+" if progress.listing else ""
    return f" of {bytes_text(progress.found_bytes)}{more}" if progress.found_bytes else ""


def _compared(previous: TaskResult) -> str:
    took = duration_text((previous.ended - previous.started).total_seconds())
    did = previous.this_attempt
    return (
        f"Attempt {previous.attempt} ended {previous.status} after {took}, in which {did.succeeded:,} of {did.found:,} "
        f"items ({bytes_text(did.bytes)}) succeeded."
    )


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
