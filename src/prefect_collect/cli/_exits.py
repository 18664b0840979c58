"""The program's name and its exit codes."""

from __future__ import annotations

from typing import Final

from prefect_collect.errors import CollectError, JobCanceled, PackageExists, StatusError, UsageError
from prefect_collect.statuses import JobStatus

PROGRAM: Final = "prefect-collect"

OK: Final = 0
WRONG_USE: Final = 2
PARTIAL: Final = 3
FAILED: Final = 4
CANCELED: Final = 5
STOPPED_WAITING: Final = 130
"""The exit code that a shell gives a command that SIGINT ended; the job that it waited for continues."""

_OF_STATUS: Final = {
    JobStatus.SUCCESSFULLY_COMPLETED: OK,
    JobStatus.PARTIALLY_COMPLETED: PARTIAL,
    JobStatus.FAILED: FAILED,
    JobStatus.CANCELED: CANCELED,
}


def exit_code(status: JobStatus | None) -> int:
    """Return the exit code for a job's status; a job that has not ended, or has no status, counts as failed."""
    return FAILED if status is None else _OF_STATUS.get(status, FAILED)


def error_exit_code(error: CollectError) -> int:
    """Return the exit code for an error: `WRONG_USE` if another command line would have worked."""
    if isinstance(error, (UsageError, StatusError, PackageExists)):
        return WRONG_USE
    return CANCELED if isinstance(error, JobCanceled) else FAILED
