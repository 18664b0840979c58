"""The documented statuses of Prefect's states, and the reverse.

Types and names are those of Prefect 3.8 (`prefect.client.schemas.objects.StateType` and `prefect.states`), as text, so
that nothing here imports Prefect. The type decides; the name only distinguishes the statuses of one type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prefect_collect.errors import StatusError
from prefect_collect.statuses._rules import job_statuses
from prefect_collect.statuses._words import JobKind, JobStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class PrefectState:
    """A Prefect state as its type and name."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Statuses:
    """The statuses that a Prefect state stands for.

    Attributes:
        job: The job's status; None if the state could not be read.
        task: The status of the job's present attempt; UNKNOWN if the state could not be read.
        note: What one of Prefect's own states adds, in a few words for a user ("being canceled"); else "".
    """

    job: JobStatus | None
    task: TaskStatus
    note: str = ""


SKIPPED_STATE: Final = PrefectState("CANCELLED", "Skipped")
"""The end of an attempt that deliberately did not run: its data source is SUSPENDED or ARCHIVED."""

_STATES: Final = {
    JobStatus.DRAFTED: PrefectState("PAUSED", "Drafted"),
    JobStatus.AWAITING_COLLECTION: PrefectState("PENDING", "Awaiting collection"),
    JobStatus.QUEUED: PrefectState("SCHEDULED", "Queued"),
    JobStatus.IN_PROGRESS: PrefectState("RUNNING", "In progress"),
    JobStatus.SUCCESSFULLY_COMPLETED: PrefectState("COMPLETED", "Successfully completed"),
    JobStatus.PARTIALLY_COMPLETED: PrefectState("COMPLETED", "Partially completed"),
    JobStatus.FAILED: PrefectState("FAILED", "Failed"),
    JobStatus.CANCELED: PrefectState("CANCELLED", "Canceled"),
}

_STATUS_OF_STATE: Final = {(state.type, state.name): status for status, state in _STATES.items()}

_STATUS_OF_TYPE: Final = {
    "SCHEDULED": JobStatus.QUEUED,
    "PENDING": JobStatus.QUEUED,
    "RUNNING": JobStatus.IN_PROGRESS,
    "PAUSED": JobStatus.IN_PROGRESS,
    "CANCELLING": JobStatus.IN_PROGRESS,
    "COMPLETED": JobStatus.SUCCESSFULLY_COMPLETED,
    "FAILED": JobStatus.FAILED,
    "CRASHED": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELED,
}
"""The status of a type whose state has none of the documented names."""

_NOTES: Final = {
    ("SCHEDULED", "Late"): "no worker has started it in time",
    ("SCHEDULED", "AwaitingRetry"): "waiting to be tried again",
    ("SCHEDULED", "AwaitingConcurrencySlot"): "waiting for a concurrency slot",
    ("SCHEDULED", "Resuming"): "about to continue",
    ("PENDING", "Submitting"): "a worker is starting it",
    ("PENDING", "InfrastructurePending"): "waiting for its infrastructure",
    ("PENDING", "NotReady"): "what it depends on did not complete",
    ("RUNNING", "Retrying"): "being tried again",
    ("PAUSED", "Paused"): "paused",
    ("PAUSED", "Suspended"): "suspended",
    ("CANCELLING", "Cancelling"): "being canceled",
    ("COMPLETED", "Cached"): "taken from a cache",
    ("FAILED", "TimedOut"): "took too long",
    ("CRASHED", "Crashed"): "its process was lost",
    (SKIPPED_STATE.type, SKIPPED_STATE.name): "not run: its data source is not active",
}

TASK_OF_STATUS: Final = {
    JobStatus.DRAFTED: TaskStatus.DRAFT,
    JobStatus.AWAITING_COLLECTION: TaskStatus.PENDING,
    JobStatus.QUEUED: TaskStatus.PENDING,
    JobStatus.IN_PROGRESS: TaskStatus.IN_PROGRESS,
    JobStatus.SUCCESSFULLY_COMPLETED: TaskStatus.COMPLETED,
    JobStatus.PARTIALLY_COMPLETED: TaskStatus.COMPLETED_WITH_ERRORS,
    JobStatus.FAILED: TaskStatus.FAILED,
    JobStatus.CANCELED: TaskStatus.CANCELED,
}
"""The task status of the present attempt, by the job's status (for In progress: until the attempt moves data)."""

STATUS_OF_TASK: Final = {
    TaskStatus.COMPLETED: JobStatus.SUCCESSFULLY_COMPLETED,
    TaskStatus.COMPLETED_WITH_ERRORS: JobStatus.PARTIALLY_COMPLETED,
    TaskStatus.FAILED: JobStatus.FAILED,
    TaskStatus.CANCELED: JobStatus.CANCELED,
    TaskStatus.SKIPPED: JobStatus.CANCELED,
}
"""The status of a job, by the task status in which its last attempt ended."""


def from_prefect_state(
    kind: JobKind, type: str | None, name: str | None = None, *, moving_data: bool = False
) -> Statuses:
    """Return the statuses that a Prefect state of a job's flow run stands for. Never raise.

    Args:
        kind: Collection or export.
        type: The state's type. None (no state could be read) or an unknown type gives no job status, and UNKNOWN.
        name: The state's name. A name that is documented only for the other kind of job counts as an unknown one.
        moving_data: Distinguishes PROCESSING from IN_PROGRESS, as Prefect's state does not; the attempt records it.
    """
    if type is None or type not in _STATUS_OF_TYPE:
        return Statuses(None, TaskStatus.UNKNOWN)
    key = (type, name or "")
    status = _STATUS_OF_STATE.get(key)
    if status is None or status not in job_statuses(kind):
        status = _STATUS_OF_TYPE[type]
    task = TASK_OF_STATUS[status]
    if key == (SKIPPED_STATE.type, SKIPPED_STATE.name):
        task = TaskStatus.SKIPPED
    elif status is JobStatus.IN_PROGRESS and moving_data:
        task = TaskStatus.PROCESSING
    return Statuses(status, task, _NOTES.get(key, ""))


def to_prefect_state(kind: JobKind, status: JobStatus) -> PrefectState:
    """Return the Prefect state that stands for a job's status. Raise StatusError if jobs of that kind never have it."""
    if status not in job_statuses(kind):
        raise StatusError(f"No {kind} job is ever {str(status)!r}. [kind={kind}, status={status}]")
    return _STATES[status]
