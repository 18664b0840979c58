"""Jobs that were deleted in Prefect, but whose evidence is still in a staging store: list them, keep or delete it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from prefect_collect.artifacts.deleted_jobs import Record, read_record
from prefect_collect.errors import ActionNotAllowed, CollectError, JobNotFound
from prefect_collect.flows.deleted_jobs import KnownStore, look, offered, update_record
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.deleted_jobs import KEPT, describe
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.jobs._list_deleted import DeletedJobs, deleted_jobs_of
from prefect_collect.jobs._prefect_errors import mapped
from prefect_collect.jobs._stores import opened
from prefect_collect.jobs.stored_jobs import gone_from_prefect, unreadable
from prefect_collect.runs.lease import LEASE_SECONDS

if TYPE_CHECKING:
    from prefect_collect.jobs._stores import StoreLike


@mapped
def find_deleted(store: StoreLike = None) -> DeletedJobs:
    """Look now for jobs that were deleted in Prefect, record them, and return those that are known, as `list_deleted`.

    Args:
        store: The staging store to look into; by default all that are known.

    Raises:
        InvalidLocation: The store cannot be opened.
        PrefectUnavailable: Prefect's server does not answer.
        PrefectError: Prefect's server refuses the request.
    """
    stores = None if store is None else [KnownStore(opened(store), getattr(store, "_block_document_id", None))]
    with get_client(sync_client=True) as client:
        return deleted_jobs_of(look(client, stores))


@mapped
def keep(job_id: str | UUID, *, store: StoreLike = None) -> None:
    """Keep the evidence of a job that was deleted in Prefect: it is not offered for deletion any more.

    The custody log records who decided that (`kept`).

    Args:
        job_id: The job's id.
        store: The job's staging store; by default the one in which it was found, else the default one.

    Raises:
        ActionNotAllowed: Prefect has a run of the job.
        JobNotFound: There is no such job in the store.
        StoreError: The store cannot be read or written.
    """
    with _without_run(job_id, store) as (client, folder):
        custody_log.append(folder, KEPT, {"run": "Prefect has no run of the job."})
        update_record(client, folder.job_id, is_kept=True)


@mapped
def delete_evidence(job_id: str | UUID, *, store: StoreLike = None) -> tuple[str, ...]:
    """Delete the evidence of a job that was deleted in Prefect, except the custody log's last entry, as `delete` does.

    Packages that it delivered stay where they are. Exports that await the collection are deleted with it; return their
    ids. Unlike `delete`, it does so whatever the job's recorded status.

    Args:
        job_id: The job's id.
        store: The job's staging store; by default the one in which it was found, else the default one.

    Raises:
        ActionNotAllowed: Prefect has a run of the job, a process works on it, or another job still needs it.
        JobNotFound: There is no such job in the store.
        StoreError: The store cannot be read or written.
    """
    from prefect_collect.jobs._cancel import remove  # with all that a deletion may need; lists do not

    with _without_run(job_id, store) as (client, folder):
        _require_settled(client, folder)
        try:
            job = gone_from_prefect(folder)
        except CollectError as error:
            if error.transient:
                raise
            job = unreadable(folder, str(error))
        if job.status is None and not job.abandoned and job.name:
            raise ActionNotAllowed(f"A process still works on the job; try again when it has stopped. [job={job.id}]")
        exports = remove(client, job)
        update_record(client, folder.job_id, is_kept=False)
    return exports


def _require_settled(client: SyncPrefectClient, folder: JobFolder) -> None:
    """Raise ActionNotAllowed if a process that cannot be seen from here may not have seen yet that its run is gone."""
    found = describe(folder, ())
    settled = {one.job_id for one in offered(read_record(client), datetime.now(UTC))}
    if found is not None and found.is_open and folder.job_id not in settled:
        raise ActionNotAllowed(
            "The job's process is on another machine, and may still work on it: look for deleted jobs, and try again "
            f"{LEASE_SECONDS:.0f} s after. [job={folder.job_id}]"
        )


@contextmanager
def _without_run(job_id: str | UUID, store: StoreLike) -> Iterator[tuple[SyncPrefectClient, JobFolder]]:
    """Yield Prefect's client and the job's folder. Raise ActionNotAllowed if Prefect has a run of the job."""
    try:
        run_id = UUID(str(job_id))
    except ValueError as error:
        raise JobNotFound(f"A job's id looks like 0194c1b0-…, not {str(job_id)!r}.") from error
    with get_client(sync_client=True) as client:
        store = _recorded(read_record(client), run_id) if store is None else store
        folder = JobFolder(opened(store), str(run_id))
        try:
            client.read_flow_run(run_id)
        except ObjectNotFound:
            pass
        else:
            raise ActionNotAllowed(f"Prefect has the job's run, so it was not deleted there. [job={run_id}]")
        if not folder.is_there():
            raise JobNotFound(f"The job is not in the staging store {folder.store.url}; name its store. [job={run_id}]")
        yield client, folder


def _recorded(record: Record, job_id: UUID) -> StoreLike:
    """Return the store in which the job was found; None if it was found in none."""
    place = next((one.place for one in record.jobs if one.job_id == str(job_id)), None)
    block = next((look.block for look in record.looks if look.place == place), None)
    if block is not None:
        return {"$ref": {"block_document_id": str(block)}}
    return None if place is None else place[0]
