"""The documented statuses as enumerations, with the specification's own definitions, word for word."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    """The kind of a job."""

    COLLECTION = "collection"
    EXPORT = "export"


class JobStatus(StrEnum):
    """The status of a job; the value is the documented word, which is also the name of the job's Prefect state."""

    DRAFTED = "Drafted"
    AWAITING_COLLECTION = "Awaiting collection"
    QUEUED = "Queued"
    IN_PROGRESS = "In progress"
    SUCCESSFULLY_COMPLETED = "Successfully completed"
    PARTIALLY_COMPLETED = "Partially completed"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def is_terminal(self) -> bool:
        """True if the job has ended; Retry or Start may continue it by a new attempt."""
        return self in TERMINAL_JOB_STATUSES


class TaskStatus(StrEnum):
    """The status of one attempt of a job: the specification's operation statuses."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"
    SKIPPED = "SKIPPED"
    DRAFT = "DRAFT"

    @property
    def definition(self) -> str:
        """The specification's definition, verbatim."""
        return _TASK_DEFINITIONS[self]

    @property
    def is_terminal(self) -> bool:
        """True for the four documented ends, at which polling stops."""
        return self in TERMINAL_TASK_STATUSES

    @property
    def is_ended(self) -> bool:
        """True if the attempt never changes again: for the four documented ends, and SKIPPED."""
        return self in ENDED_TASK_STATUSES


class LifecycleStatus(StrEnum):
    """The status of a data source; jobs start only on an ACTIVE one."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    SUSPENDED = "SUSPENDED"

    @property
    def definition(self) -> str:
        """The specification's definition, verbatim."""
        return _LIFECYCLE_DEFINITIONS[self]


class NextStep(StrEnum):
    """A step that a user can take with a job; the job's kind and status decide which are offered."""

    START = "Start"
    DELETE = "Delete"
    CANCEL = "Cancel"
    PREVIEW = "Preview"
    EXPORT = "Export"
    RETRY = "Retry"
    DOWNLOAD = "Download"


class SnapshotGroup(StrEnum):
    """The groups in which the Collections Snapshot counts jobs: Successfully and Partially completed are one group."""

    DRAFTED = "Drafted"
    AWAITING_COLLECTION = "Awaiting collection"
    QUEUED = "Queued"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


TERMINAL_JOB_STATUSES: Final = frozenset(
    {JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED, JobStatus.CANCELED}
)
"""The statuses in which no attempt of the job runs or waits to run."""

TERMINAL_TASK_STATUSES: Final = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.COMPLETED_WITH_ERRORS, TaskStatus.FAILED, TaskStatus.CANCELED}
)
"""The documented ends of a task, at which polling stops."""

ENDED_TASK_STATUSES: Final = TERMINAL_TASK_STATUSES | {TaskStatus.SKIPPED}
"""The statuses that an attempt never leaves; an attempt that was skipped does not run later either."""


def snapshot_group(status: JobStatus) -> SnapshotGroup:
    """Return the group in which the Collections Snapshot counts a job; Partially completed counts as Completed."""
    if status in (JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED):
        return SnapshotGroup.COMPLETED
    return SnapshotGroup(status)


_TASK_DEFINITIONS: Final = {
    TaskStatus.PENDING: "Task is queued but has not started processing yet",
    TaskStatus.IN_PROGRESS: "Task is currently being executed",
    TaskStatus.PROCESSING: "Task is actively processing data (similar to IN_PROGRESS)",
    TaskStatus.COMPLETED: "Task finished successfully with no errors",
    TaskStatus.COMPLETED_WITH_ERRORS: "Task finished but some items failed (partial success)",
    TaskStatus.FAILED: "Task encountered an error and could not complete",
    TaskStatus.CANCELED: "Task was manually canceled by a user or system",
    TaskStatus.UNKNOWN: "Task status could not be determined",
    TaskStatus.SKIPPED: "Task was intentionally skipped",
    TaskStatus.DRAFT: "Task is in draft state and not yet submitted",
}

_LIFECYCLE_DEFINITIONS: Final = {
    LifecycleStatus.ACTIVE: "Entity is active and operational (for buckets, collections, etc.)",
    LifecycleStatus.ARCHIVED: "Entity has been archived",
    LifecycleStatus.SUSPENDED: "Entity has been temporarily suspended",
}
