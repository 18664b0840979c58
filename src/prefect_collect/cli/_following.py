"""Wait for a job that another process runs, and print how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

from prefect_collect.cli._exits import PROGRAM
from prefect_collect.cli._interrupts import interruptible
from prefect_collect.cli._words import tidy
from prefect_collect.escaping import one_line
from prefect_collect.statuses import FIRST_POLL_DELAY, JobStatus, poll_delays, should_poll

if TYPE_CHECKING:
    from prefect_collect.jobs import Job

Say = Callable[[str], None]


def follow(job_id: str, store: str | None, say: Say, *, ending: bool = False) -> Job:
    """Wait until the job has ended, and return it. Ctrl-C ends the wait, not the job: then return the job as it is.

    Args:
        job_id: The job's id.
        store: The job's staging store, as for `jobs.get`.
        say: Called with a line whenever something has changed.
        ending: Read the job every second, as it ends soon; by default after 1, 2, 4 … 30 s, and again from 1 s when its
            status has changed.
    """
    from prefect_collect import jobs

    job = jobs.get(job_id, store)
    try:
        with interruptible(), _line(say) as show:
            while should_poll(job.task_status):
                job = _until_changed(job, store, show, repeat(FIRST_POLL_DELAY) if ending else poll_delays())
    except KeyboardInterrupt:
        say(f"The job continues; `{PROGRAM} show {job_id}` shows it, `{PROGRAM} cancel {job_id}` cancels it.")
        return jobs.get(job_id, store)
    return job


def _until_changed(job: Job, store: str | None, show: Say, delays: Iterable[float]) -> Job:
    from prefect_collect import jobs

    for delay in delays:
        show(_how_far(job))
        time.sleep(delay)
        present = jobs.get(job.id, store)
        if present.task_status is not job.task_status:
            return present
        job = present
    raise AssertionError("unreachable")


def _how_far(job: Job) -> str:
    """Return the job's status with its phase, or its place in the queue, as one line."""
    status = job.status.value if job.status is not None else "unknown"
    if job.status is JobStatus.IN_PROGRESS:
        return f"{status} ({job.task_status.value})"
    if job.status is not JobStatus.QUEUED:
        return f"{status}. {tidy(job.message)}" if job.message else status
    waits = queue_line(job)
    if waits:
        return f"{status}. {waits}"
    from prefect_collect import jobs

    if jobs.has_worker(job):
        return f"{status}. A worker will start it."
    return f"{status}. No worker is running: start one with `{PROGRAM} serve`."


def queue_line(job: Job) -> str:
    """Return why the job is queued, in a sentence; "" if it is not in its queue."""
    from prefect_collect import jobs

    place = jobs.place_in_queue(job)
    return "" if place is None else one_line(place.reason)


@contextmanager
def _line(say: Say) -> Iterator[Say]:
    """Yield a function that shows its text: on a terminal as one line that changes, else as a line for each change."""
    if not sys.stderr.isatty():
        shown = ""

        def once(text: str) -> None:
            nonlocal shown
            if text != shown:
                say(text)
            shown = text

        yield once
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("") as status:
        yield lambda text: status.update(Text(one_line(text)))
