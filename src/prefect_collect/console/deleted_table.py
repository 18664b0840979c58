"""What the console shows of jobs that were deleted in Prefect: the record of the last look, read every few seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

from prefect_collect import jobs
from prefect_collect.errors import JobNotFound

READ_EVERY: Final = 2.0
"""Seconds between two reads of the record, however many browsers look at it."""

MOST_ROWS: Final = 50
"""The most jobs that are shown at once; older ones follow when these are kept or deleted."""


@dataclass(frozen=True)
class DeletedTable:
    """The jobs that are shown.

    Attributes:
        rows: The newest jobs whose evidence is neither kept nor deleted yet.
        more: How many more there are.
        kept: The newest jobs that are kept.
        kept_total: How many jobs are kept.
        looked: When the staging stores were looked at; None if none was.
        problems: Why stores could not be read.
    """

    rows: tuple[jobs.DeletedJob, ...]
    more: int
    kept: tuple[jobs.DeletedJob, ...]
    kept_total: int
    looked: datetime | None
    problems: tuple[str, ...]


class DeletedIndex:
    """The record of jobs that were deleted in Prefect, in memory; used from several threads."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: jobs.DeletedJobs | None = None
        self._read = float("-inf")

    def found(self) -> jobs.DeletedJobs:
        """Return the jobs; at most `READ_EVERY` seconds old. Raise what Prefect's client raises."""
        with self._lock:
            if self._found is None or self._clock() - self._read >= READ_EVERY:
                self._found = jobs.list_deleted()
                self._read = self._clock()
            return self._found

    def look(self) -> None:
        """Look into all known staging stores now. Raise what Prefect's client raises."""
        found = jobs.find_deleted()
        with self._lock:
            self._found, self._read = found, self._clock()

    def job(self, job_id: str) -> jobs.DeletedJob:
        """Return the job of that id. Raise JobNotFound if it was not found deleted in Prefect."""
        for job in self.found().jobs:
            if job.job_id == job_id:
                return job
        raise JobNotFound(f"No job of that id was found deleted in Prefect; load the page again. [job={job_id}]")

    def keep(self, job_id: str) -> jobs.DeletedJob:
        """Keep the evidence of a job, and return the job."""
        job = self.job(job_id)
        jobs.keep(job.job_id)
        self.expire()
        return job

    def delete(self, job_id: str) -> jobs.DeletedJob:
        """Delete the evidence of a job, and return the job."""
        job = self.job(job_id)
        jobs.delete_evidence(job.job_id)
        self.expire()
        return job

    def expire(self) -> None:
        """Have the record read again when it is asked for."""
        with self._lock:
            self._found = None


def deleted_table(found: jobs.DeletedJobs, most: int = MOST_ROWS) -> DeletedTable:
    """Return what is shown of the jobs."""
    kept = tuple(job for job in found.jobs if job.is_kept)
    rows = found.undecided
    return DeletedTable(rows[:most], max(0, len(rows) - most), kept[:most], len(kept), found.looked, found.problems)
