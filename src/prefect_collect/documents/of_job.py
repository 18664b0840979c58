"""The account of a job's own document: of its last attempt that has ended."""

from __future__ import annotations

from typing import Any

from prefect_collect.documents.evidence import account_of_job
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.folder import JobFolder


def job_account(folder: JobFolder) -> dict[str, Any]:
    """Return the account of the job's last attempt that has ended, from files that its custody log vouches for.

    Nothing is written. Raise ActionNotAllowed if no attempt has ended, EvidenceError if the evidence was changed or
    the log does not have the attempt's end, JobNotFound, StoreError.
    """
    attempt = max(folder.closed_attempts(), default=0)
    if not attempt:
        raise ActionNotAllowed(
            f"No attempt of the job has ended, so there is no chain of custody document yet. [job={folder.job_id}]"
        )
    found = vouched(folder, attempt, enter=False)
    return account_of_job(found, found.record(), found.result(attempt))
