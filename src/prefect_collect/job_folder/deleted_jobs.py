"""Find the folders of a staging store whose jobs have no run in Prefect, and describe what they hold.

A run is deleted in Prefect's UI, or by its retention, or its database is lost: the job's evidence stays in the store.
A folder is made after its run, and the store's folders are read before the server is asked for their runs, so that no
job that is being made is taken for deleted.

Which server a job was made through is known by the id of its flow (`FLOW` in the claim of an attempt): Prefect gives
the flow of a name another id in each database. A job without a run may lie on another server, so that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Final
from uuid import UUID

from prefect_collect.errors import AttemptSuperseded, CollectError, JobNotFound
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import Store

FLOW: Final = "prefect_flow"
"""The field of a claim that holds the id of the flow in Prefect whose run made the attempt."""

KEPT: Final = "kept"
"""The action of the custody entry that a user keeps the evidence of a job that was deleted in Prefect."""

_BATCH: Final = 200


class Origin(StrEnum):
    """Which Prefect server a job without a run was made through."""

    HERE = "this server"
    ELSEWHERE = "another server"
    UNRECORDED = "not recorded"

    @property
    def reason(self) -> str:
        """What is known of the job's run, as a sentence."""
        return _REASONS[self]


_REASONS: Final = {
    Origin.HERE: "Its run was deleted in Prefect.",
    Origin.ELSEWHERE: (
        "Not known to this Prefect server: it was made through another one, where its run may still be, or before the "
        "database of this one was recreated."
    ),
    Origin.UNRECORDED: (
        "Not known to this Prefect server: its run was deleted, or is on another server. Its folder does not record "
        "which."
    ),
}


@dataclass(frozen=True, slots=True)
class DeletedJob:
    """A job whose run Prefect does not have, as its folder records it.

    Attributes:
        job_id: The job's id.
        kind: Collection or export; None if its record cannot be read.
        name: The job's name; "" if its record cannot be read.
        source: The name of its data source.
        custodian: Its custodian; "" if it names none.
        status: Its recorded status; None if its last attempt has not ended.
        created: When it was created; None if that is not known.
        items: The number of items that it holds or has delivered.
        bytes: Their bytes.
        store: The URL of its staging store.
        origin: Which Prefect server it was made through.
        is_open: Whether its last attempt has not ended, and its process cannot be seen from here. If it still runs, it
            stops when it sees that its run was deleted.
        is_kept: Whether a user has decided to keep it.
        problem: Why not all is known of it, as a sentence; "" if all is known.
    """

    job_id: str
    kind: JobKind | None
    name: str
    source: str
    custodian: str
    status: JobStatus | None
    created: datetime | None
    items: int
    bytes: int
    store: str
    origin: Origin
    is_open: bool = False
    is_kept: bool = False
    problem: str = ""

    @property
    def reason(self) -> str:
        """What is known of the job's run, as a sentence."""
        return self.origin.reason


def folders_without_run(store: Store, with_run: Callable[[list[str]], Collection[str]]) -> Iterator[JobFolder]:
    """Yield the folders in the store whose names are ids of no run; a deleted job's rest is among them.

    Args:
        store: The staging store; folders that are no jobs' are passed over.
        with_run: Returns those of the ids of which Prefect has a run; called with some ids at a time.
    """
    names = (name for name in [*store.folders()] if _is_id(name))
    while batch := [*islice(names, _BATCH)]:
        known = {*with_run(batch)}
        yield from (JobFolder(store, name) for name in batch if name not in known)


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def describe(folder: JobFolder, flows: Collection[str], *, is_worked_on: bool = False) -> DeletedJob | None:
    """Return the job in a folder without a run; None if there is no job in it, or a process works on it.

    Args:
        folder: The job's folder.
        flows: The ids that the flows of collections and exports have on this Prefect server.
        is_worked_on: Whether this process works on the job.

    Raises:
        StoreError: The store does not answer.
    """
    if is_worked_on or not folder.is_there():
        return None
    try:
        folder.require_idle()
        return _described(folder, flows)
    except (AttemptSuperseded, JobNotFound):
        return None
    except CollectError as error:
        if error.transient:
            raise
        return _unreadable(folder, error)


def _described(folder: JobFolder, flows: Collection[str]) -> DeletedJob:
    record, attempts = folder.record(), folder.attempts()
    result = folder.result()
    claim = folder.claimed(attempts[-1]) if attempts else {}
    ended = result if result is not None and attempts and result.attempt == attempts[-1] else None
    made = claim.get(FLOW)
    origin = Origin.UNRECORDED if made is None else Origin.HERE if made in flows else Origin.ELSEWHERE
    return DeletedJob(
        job_id=folder.job_id,
        kind=record.kind,
        name=record.name,
        source=str(record.source.get("name", "")),
        custodian=record.custodian,
        status=None if ended is None else ended.status,
        created=datetime.fromisoformat(record.created_at) if record.created_at else None,
        items=0 if result is None else result.counts.succeeded,
        bytes=0 if result is None else result.counts.bytes,
        store=folder.store.url,
        origin=origin,
        is_open=ended is None and bool(attempts) and not is_gone(claim),
        is_kept=_is_kept(folder),
    )


def _unreadable(folder: JobFolder, error: CollectError) -> DeletedJob:
    is_kept = False
    with suppress(CollectError):
        is_kept = _is_kept(folder)
    return DeletedJob(
        folder.job_id, None, "", "", "", None, None, 0, 0, folder.store.url, Origin.UNRECORDED, is_kept=is_kept,
        problem=str(error),
    )  # fmt: skip


def _is_kept(folder: JobFolder) -> bool:
    return any(entry.action == KEPT for entry in custody_log.check_chain(folder).entries)
