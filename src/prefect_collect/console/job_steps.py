"""Take a next step with a job, as a button of the console or a request to its API does."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prefect_collect import jobs
from prefect_collect.errors import ActionNotAllowed

_NO_WORKER: Final = (
    "No process runs jobs, so this one would not start. Run `prefect-collect serve` on a machine that reaches the data "
    "source and the staging store."
)


class Step(StrEnum):
    """The steps that are taken with a click, without more to say."""

    START = "start"
    CANCEL = "cancel"
    RETRY = "retry"


def take_step(job_id: str, step: Step) -> jobs.Job:
    """Take the step, and return the job's new state.

    Raises:
        ActionNotAllowed: The job's status does not offer the step, or no process would run the job.
        JobNotFound: There is no such job.
    """
    if step is Step.CANCEL:
        return jobs.cancel(job_id)
    job = jobs.get(job_id)
    take = jobs.start if step is Step.START else jobs.retry
    if job.next_steps and step.value.capitalize() in list(job.next_steps) and not jobs.has_worker(job):
        raise ActionNotAllowed(f"{_NO_WORKER} [job={job_id}]")
    return take(job_id, here=False)
