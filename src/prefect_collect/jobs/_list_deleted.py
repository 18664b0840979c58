"""List the jobs that the recovery found deleted in Prefect; usually there are none, and Prefect is not imported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from prefect_collect.job_folder.deleted_jobs import DeletedJob
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.runs.job_runs import read_job_runs
from prefect_collect.runs.names import DELETED_JOBS

if TYPE_CHECKING:
    from prefect_collect.artifacts.deleted_jobs import Record

_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class DeletedJobs:
    """The jobs that were deleted in Prefect, but not their evidence.

    Attributes:
        jobs: The jobs, the newest first; those that are kept among them.
        looked: When the staging stores were looked at (UTC), the earliest of them; None if none was.
        problems: Why stores could not be read, a sentence each.
    """

    jobs: tuple[DeletedJob, ...]
    looked: datetime | None
    problems: tuple[str, ...]

    @property
    def undecided(self) -> tuple[DeletedJob, ...]:
        """The jobs of which it is not decided yet whether their evidence is kept."""
        return tuple(job for job in self.jobs if not job.is_kept)


@mapped
def list_deleted() -> DeletedJobs:
    """Return the jobs that the recovery found deleted in Prefect when it looked last, although their evidence is there.

    `serve` looks once a minute, the recovery flow when it runs: into the default staging store, the saved ones, and
    those of deployments and of the newest jobs.

    Raises:
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    data = read_job_runs(lambda runs: runs.artifact(DELETED_JOBS))
    if data is None:
        return DeletedJobs((), None, ())
    from prefect_collect.artifacts.deleted_jobs import record_in

    return deleted_jobs_of(record_in(data))


def deleted_jobs_of(record: Record) -> DeletedJobs:
    """Return the jobs of the record that are offered for a decision, the newest first."""
    from prefect_collect.flows.deleted_jobs import offered

    jobs = sorted(offered(record, datetime.now(UTC)), key=lambda job: job.created or _FIRST, reverse=True)
    problems = tuple(look.problem for look in record.looks if look.problem)
    return DeletedJobs(tuple(jobs), min((look.at for look in record.looks), default=None), problems)
