"""List jobs: those in Prefect, and those of which only the staging store still has the folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect_collect.errors import CollectError, JobNotFound
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.jobs._job import Job
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._stores import opened
from prefect_collect.jobs.lookup import job_of
from prefect_collect.jobs.stored_jobs import gone_from_prefect, unreadable
from prefect_collect.runs.job_runs import JobRun, JobRuns, read_job_runs
from prefect_collect.runs.paging import PAGE
from prefect_collect.statuses import JobKind, JobStatus, from_prefect_state
from prefect_collect.stores import Store

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_Kinds = dict[UUID, JobKind]


@mapped
def list_jobs(
    limit: int | None = 50,
    store: StoreLike = None,
    kind: JobKind | None = None,
    statuses: Collection[JobStatus] = (),
) -> list[Job]:
    """Return jobs, the one that was created last first.

    Jobs whose run was deleted in Prefect are read from the store. A run that a schedule plans is listed once it is due.

    Args:
        limit: The most jobs to return; None for all.
        store: The staging store whose jobs to return; by default all jobs in Prefect, and those in the default store.
        kind: The kind of job; by default both.
        statuses: Only jobs of these statuses; empty for all.

    Raises:
        StoreError: The store cannot be read.
        InvalidLocation: The store cannot be opened.
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    if limit is not None and limit <= 0:
        return []
    wanted = _Wanted(kind, frozenset(statuses))
    return read_job_runs(lambda runs: _listed(runs, limit, store, wanted))


@dataclass(frozen=True)
class _Wanted:
    """Which jobs are listed: those of a kind, None for both, and of statuses, empty for all."""

    kind: JobKind | None
    statuses: frozenset[JobStatus]

    def has_run(self, kind: JobKind, run: JobRun) -> bool:
        """Return whether the run, a job of that kind, is wanted; its staging store is not opened for that."""
        return self.kind in (None, kind) and self.has(from_prefect_state(kind, run.state_type, run.state_name).job)

    def has(self, status: JobStatus | None) -> bool:
        """Return whether jobs of that status are wanted."""
        return not self.statuses or status in self.statuses


def _listed(runs: JobRuns, limit: int | None, store: StoreLike, wanted: _Wanted) -> list[Job]:
    kinds = runs.kinds()
    if store is not None:
        return [*islice(_stored(runs, opened(store), kinds, wanted), limit)]
    newest = (run for run in runs.newest(wanted.kind) if wanted.has_run(kinds[run.flow_id], run))
    found = [job_of(runs, run, None, kinds[run.flow_id]) for run in islice(newest, limit)]
    here = opened(None)
    asked = _asked(runs, {*here.folders()} - {job.id for job in found})
    gone = [*islice(_gone(here, (name for name, run in asked if run is None), wanted), limit)]
    return sorted([*found, *gone], key=_age, reverse=True)[:limit]


def _age(job: Job) -> datetime:
    return job.created or _NEVER


def _stored(server: JobRuns, store: Store, kinds: _Kinds, wanted: _Wanted) -> Iterator[Job]:
    """Yield the jobs in the store, the newest first, whether or not Prefect still has their runs."""
    runs: list[JobRun] = []
    lost: list[str] = []
    for name, run in _asked(server, store.folders()):
        if run is None:
            lost.append(name)
        elif (kind := kinds.get(run.flow_id)) is not None and wanted.has_run(kind, run):
            runs.append(run)
    runs.sort(key=lambda run: run.created or _NEVER, reverse=True)
    known = (job_of(server, run, store, kinds[run.flow_id]) for run in runs if JobFolder(store, str(run.id)).is_there())
    return merge(known, _gone(store, lost, wanted), key=_age, reverse=True)


def _gone(store: Store, names: Iterable[str], wanted: _Wanted) -> Iterator[Job]:
    """Yield the jobs in these folders, of which Prefect has no run, the newest first, then the unreadable ones."""
    made: list[tuple[str, JobFolder]] = []
    for name in names:
        folder = JobFolder(store, name)
        try:
            record = folder.record()
        except JobNotFound:
            continue
        except CollectError:
            made += [("", folder)] if wanted.kind is None and not wanted.statuses else []
            continue
        if wanted.kind in (None, record.kind):
            made.append((record.created_at, folder))
    for _, folder in sorted(made, key=lambda one: one[0], reverse=True):
        try:
            job = gone_from_prefect(folder)
        except CollectError as error:
            job = replace(unreadable(folder, str(error)), is_deleted_in_prefect=True)
        if wanted.has(job.status):
            yield job


def _asked(runs: JobRuns, names: Iterable[str]) -> Iterator[tuple[str, JobRun | None]]:
    """Yield each name with the run of that id, or None if Prefect has none; runs are read in batches."""
    rest = iter(names)
    while batch := [*islice(rest, PAGE)]:
        found = runs.of_ids(batch)
        yield from ((name, found.get(name)) for name in batch)
