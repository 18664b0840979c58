"""The specification's job tables: definitions and next steps verbatim, and the transitions that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prefect_collect.errors import ActionNotAllowed, StatusError, TransitionNotAllowed
from prefect_collect.statuses._words import (
    ENDED_TASK_STATUSES,
    TERMINAL_JOB_STATUSES,
    JobKind,
    JobStatus,
    NextStep,
    TaskStatus,
)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a job table, and the statuses that a job may go to from there."""

    definition: str
    guidance: str
    steps: tuple[NextStep, ...]
    leads_to: tuple[JobStatus, ...]


_STARTED: Final = (JobStatus.QUEUED, JobStatus.IN_PROGRESS)
_ENDS: Final = (
    JobStatus.SUCCESSFULLY_COMPLETED,
    JobStatus.PARTIALLY_COMPLETED,
    JobStatus.FAILED,
    JobStatus.CANCELED,
)
_QUEUED_LEADS_TO: Final = (JobStatus.IN_PROGRESS, JobStatus.CANCELED, JobStatus.FAILED)
_MONITOR: Final = "Cancel the job. You can monitor the job's progress via the sidesheet or status management pages."
_REPORT: Final = "Details are available in the downloadable error report."
_SUGGESTED: Final = " and suggested actions in the downloadable error report"
_REVIEW: Final = f"the job after reviewing the error message{_SUGGESTED}."
_SHOWN: Final = "This job will show in the Completed status in the Collections Snapshot."
_STOPPED: Final = "The job was stopped by a user."

_COLLECTION: Final = {
    JobStatus.DRAFTED: _Row(
        "The job was created and saved but not yet started.",
        "Start the job or Delete it.",
        (NextStep.START, NextStep.DELETE),
        _STARTED,
    ),
    JobStatus.QUEUED: _Row(
        "Another Collection job for the same data source is currently In progress. "
        "The job will start automatically once the running job is complete.",
        "Cancel the job.",
        (NextStep.CANCEL,),
        _QUEUED_LEADS_TO,
    ),
    JobStatus.IN_PROGRESS: _Row(
        "The job is actively running and collecting data.",
        _MONITOR,
        (NextStep.CANCEL,),
        (*_ENDS, JobStatus.QUEUED),
    ),
    JobStatus.SUCCESSFULLY_COMPLETED: _Row(
        "All data was successfully collected and is ready for the next step.",
        "Preview, Export, or Delete the job.",
        (NextStep.PREVIEW, NextStep.EXPORT, NextStep.DELETE),
        (),
    ),
    JobStatus.PARTIALLY_COMPLETED: _Row(
        f"The job finished, but some data failed to collect. {_REPORT} {_SHOWN}",
        f"Preview, Export, Delete, or Retry {_REVIEW}",
        (NextStep.PREVIEW, NextStep.EXPORT, NextStep.DELETE, NextStep.RETRY),
        _STARTED,
    ),
    JobStatus.FAILED: _Row(
        f"The job failed unexpectedly, and no data was collected. {_REPORT}",
        f"Delete or Retry {_REVIEW}",
        (NextStep.DELETE, NextStep.RETRY),
        _STARTED,
    ),
    JobStatus.CANCELED: _Row(
        _STOPPED,
        "Start the job or Delete it.",
        (NextStep.START, NextStep.DELETE),
        _STARTED,
    ),
}

_EXPORT: Final = {
    JobStatus.AWAITING_COLLECTION: _Row(
        "A user chose to automatically start the export once the collection completes, "
        "but the collection has yet to be completed",
        "Delete the job.",
        (NextStep.DELETE,),
        (*_STARTED, JobStatus.FAILED),
    ),
    JobStatus.QUEUED: _Row(
        "Another Export job for the same data source is currently In progress. "
        "The job will start automatically once the running job is complete.",
        "Cancel the job.",
        (NextStep.CANCEL,),
        _QUEUED_LEADS_TO,
    ),
    JobStatus.IN_PROGRESS: _Row(
        "The job is actively running and exporting data.",
        _MONITOR,
        (NextStep.CANCEL,),
        (*_ENDS, JobStatus.QUEUED),
    ),
    JobStatus.SUCCESSFULLY_COMPLETED: _Row(
        "All data was successfully exported and is ready for the next step.",
        "Download or Delete the job.",
        (NextStep.DOWNLOAD, NextStep.DELETE),
        (),
    ),
    JobStatus.PARTIALLY_COMPLETED: _Row(
        f"The job finished, but some files failed to export. {_REPORT} {_SHOWN}",
        f"Download, Delete, or Retry {_REVIEW}",
        (NextStep.DOWNLOAD, NextStep.DELETE, NextStep.RETRY),
        _STARTED,
    ),
    JobStatus.FAILED: _Row(
        f"The job failed unexpectedly, and no data was exported. {_REPORT}",
        f"Delete or Retry {_REVIEW}",
        (NextStep.DELETE, NextStep.RETRY),
        _STARTED,
    ),
    JobStatus.CANCELED: _Row(
        _STOPPED,
        "Start the job.",
        (NextStep.START,),
        _STARTED,
    ),
}

_JOBS: Final = {JobKind.COLLECTION: _COLLECTION, JobKind.EXPORT: _EXPORT}

_UNDER_WAY: Final = (TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.PROCESSING)
_TASKS: Final[dict[TaskStatus, tuple[TaskStatus, ...]]] = {
    TaskStatus.DRAFT: (TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.UNKNOWN),
    TaskStatus.PENDING: (
        TaskStatus.IN_PROGRESS,
        TaskStatus.PROCESSING,
        TaskStatus.FAILED,
        TaskStatus.CANCELED,
        TaskStatus.SKIPPED,
        TaskStatus.UNKNOWN,
    ),
    TaskStatus.IN_PROGRESS: (
        TaskStatus.PENDING,
        TaskStatus.PROCESSING,
        TaskStatus.COMPLETED,
        TaskStatus.COMPLETED_WITH_ERRORS,
        TaskStatus.FAILED,
        TaskStatus.CANCELED,
        TaskStatus.SKIPPED,
        TaskStatus.UNKNOWN,
    ),
    TaskStatus.PROCESSING: (
        TaskStatus.PENDING,
        TaskStatus.IN_PROGRESS,
        TaskStatus.COMPLETED,
        TaskStatus.COMPLETED_WITH_ERRORS,
        TaskStatus.FAILED,
        TaskStatus.CANCELED,
        TaskStatus.UNKNOWN,
    ),
    # UNKNOWN is a status that cannot be read now: the next reading may find any other.
    TaskStatus.UNKNOWN: tuple(status for status in TaskStatus if status is not TaskStatus.UNKNOWN),
    **dict.fromkeys(ENDED_TASK_STATUSES, ()),
}

POLLED_TASK_STATUSES: Final = frozenset(_UNDER_WAY)
"""The statuses in which polling continues; it stops at those of TERMINAL_TASK_STATUSES."""

FIRST_POLL_DELAY: Final = 1.0
"""Seconds between the first and the second poll of a task."""

LONGEST_POLL_DELAY: Final = 30.0
"""The most seconds between two polls; the delay doubles from the first up to this."""


def job_statuses(kind: JobKind) -> tuple[JobStatus, ...]:
    """Return the statuses that a job of this kind can have, in the order of the specification."""
    return tuple(_JOBS[kind])


def definition(kind: JobKind, status: JobStatus, *, has_report: bool = True) -> str:
    """Return the specification's definition of a status, verbatim; without a word of a report if there is none.

    Raise StatusError if the kind has no such status.
    """
    text = _row(kind, status).definition
    return text if has_report else text.replace(f" {_REPORT}", "")


def guidance(kind: JobKind, status: JobStatus, *, has_report: bool = True) -> str:
    """Return the specification's sentence on what to do next, as `definition` returns that of the status."""
    text = _row(kind, status).guidance
    return text if has_report else text.replace(_SUGGESTED, "")


def next_steps(kind: JobKind, status: JobStatus) -> tuple[NextStep, ...]:
    """Return the next steps of a job, in the documented order. Raise StatusError if the kind has no such status."""
    return _row(kind, status).steps


def require_step(kind: JobKind, status: JobStatus, step: NextStep) -> None:
    """Raise ActionNotAllowed, which lists the status's next steps, unless the step is one of them."""
    steps = next_steps(kind, status)
    if step not in steps:
        raise ActionNotAllowed(
            f"{_a(kind)} job that is {str(status)!r} does not offer {str(step)!r}; it offers {_or(steps)}. "
            f"[kind={kind}, status={status}]"
        )


def job_transitions(kind: JobKind, status: JobStatus) -> tuple[JobStatus, ...]:
    """Return the other statuses that the job may have next. Raise StatusError if the kind has no such status."""
    return _row(kind, status).leads_to


def require_transition(kind: JobKind, old: JobStatus, new: JobStatus) -> None:
    """Raise TransitionNotAllowed, which lists the possible statuses, unless a job may go from `old` to `new`.

    A job that has not ended may also get its present status again: a worker that resumes the job of a lost worker sets
    it In progress once more.
    """
    row, _ = _row(kind, old), _row(kind, new)
    if new not in row.leads_to and (old in TERMINAL_JOB_STATUSES or new != old):
        raise TransitionNotAllowed(
            f"{_a(kind)} job cannot go from {str(old)!r} to {str(new)!r}; it can go {_to(row.leads_to)}. "
            f"[kind={kind}, from={old}, to={new}]"
        )


def task_transitions(status: TaskStatus) -> tuple[TaskStatus, ...]:
    """Return the other statuses that a task (an attempt) may have next; none once it has ended."""
    return _TASKS[status]


def require_task_transition(old: TaskStatus, new: TaskStatus) -> None:
    """Raise TransitionNotAllowed, which lists the possible statuses, unless a task may go from `old` to `new`.

    A task that has not ended may also get its present status again.
    """
    if new not in _TASKS[old] and (old in ENDED_TASK_STATUSES or new != old):
        raise TransitionNotAllowed(
            f"A task cannot go from {old} to {new}; it can go {_to(_TASKS[old])}. [from={old}, to={new}]"
        )


def should_poll(status: TaskStatus) -> bool:
    """Return whether the specification says to poll again: True for PENDING, IN_PROGRESS and PROCESSING.

    False for the four terminal statuses, for DRAFT and SKIPPED, which change only when a user acts, and for UNKNOWN:
    the caller that could not read a status has to decide what to do.
    """
    return status in POLLED_TASK_STATUSES


def poll_delays() -> Iterator[float]:
    """Yield the seconds to wait between polls, without end: 1, 2, 4, 8, 16, 30, 30, …"""
    delay = FIRST_POLL_DELAY
    while True:
        yield delay
        delay = min(delay * 2, LONGEST_POLL_DELAY)


def _row(kind: JobKind, status: JobStatus) -> _Row:
    try:
        return _JOBS[kind][status]
    except KeyError:
        raise StatusError(
            f"{_a(kind)} job is never {str(status)!r}; it is {_or(_JOBS[kind])}. [kind={kind}, status={status}]"
        ) from None


def _a(kind: JobKind) -> str:
    return "An export" if kind == JobKind.EXPORT else "A collection"


def _or(words: Iterable[str]) -> str:
    *most, last = [repr(str(word)) for word in words]
    return f"{', '.join(most)} or {last}" if most else last


def _to(words: Iterable[str]) -> str:
    listed = list(words)
    return f"to {_or(listed)}" if listed else "nowhere: it has ended for good"
