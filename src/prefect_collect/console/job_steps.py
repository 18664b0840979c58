"""Take a next step with a job, as a button of the console or a request to its API does."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from prefect_collect import jobs
from prefect_collect.console.item_tables import ItemTables
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.statuses import NextStep

NO_WORKER: Final = (
    "No process runs jobs, so this one would not start. Run `prefect-collect serve` on a machine that reaches the data "
    "source and the staging store."
)


class Step(StrEnum):
    """The steps that need no more than a click."""

    START = "start"
    CANCEL = "cancel"
    RETRY = "retry"


def take_step(job_id: str, step: Step) -> jobs.Job:
    """Take the step, and return the job's new state.

    Raises:
        ActionNotAllowed: The job's status does not offer the step, or no process would run the job, or only a command
            can.
        JobNotFound: There is no such job.
    """
    if step is Step.CANCEL:
        return jobs.cancel(job_id)
    job = jobs.get(job_id)
    take = jobs.start if step is Step.START else jobs.retry
    if job.next_steps and step.value.capitalize() in list(job.next_steps):
        _require_worker(job)
    return take(job_id, here=False)


def retry_rows(job_id: str, tables: ItemTables, rows: Iterable[int]) -> jobs.Job:
    """Retry only the items in these rows of the job's last error report, and return the job's new state.

    Raises:
        ActionNotAllowed: The job's status does not offer Retry, another attempt has ended since, or no process would
            run the job, or only a command can.
        UsageError: None of the rows can be retried.
        JobNotFound: There is no such job.
    """
    job = jobs.get(job_id)
    if NextStep.RETRY in job.next_steps:
        _require_worker(job)
    return jobs.retry(job_id, only=jobs.save_selection(job, rows, files=tables.files), here=False)


def _require_worker(job: jobs.Job) -> None:
    if job.only_by_command:
        raise ActionNotAllowed(f"{job.only_by_command} [job={job.id}]")
    if not jobs.has_worker(job):
        raise ActionNotAllowed(f"{NO_WORKER} [job={job.id}]")
