"""Look for jobs that were deleted in Prefect, in all staging stores that are known, and record them in Prefect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.logging import get_logger

from prefect_collect.artifacts.deleted_jobs import Record, RecordedJob, StoreLook, read_record, write_record
from prefect_collect.errors import CollectError
from prefect_collect.escaping import one_line
from prefect_collect.flows.stores import place_of
from prefect_collect.job_folder.deleted_jobs import DeletedJob, describe, folders_without_run
from prefect_collect.job_folder.process_identity import this_process
from prefect_collect.runs.job_runs import JobRuns, asking_prefect
from prefect_collect.runs.lease import LEASE_SECONDS
from prefect_collect.runs.names import KIND_OF_FLOW
from prefect_collect.runs.paging import PAGE
from prefect_collect.runs.queries import kinds_of_flows, runs_of_ids
from prefect_collect.runs.session import session_of
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import STORE_BLOCKS

LOOK_EVERY: Final = timedelta(seconds=50)
"""The least time between two looks of the recovery at a store."""

_SHARE: Final = 50
"""A store is looked at again after this many times the time that the last look took, at the soonest."""

_FORGET_AFTER: Final = timedelta(days=7)
"""What was found in a store that was not looked at for this time is forgotten."""

_MOST_LINES: Final = 20
_NOT_FOUND: Final = 404
_log = get_logger("prefect_collect")


@dataclass(frozen=True)
class KnownStore:
    """A staging store, and the id of its block in Prefect, if it is opened by one."""

    store: Store
    block: UUID | None = None


def look_if_due(client: SyncPrefectClient) -> list[str]:
    """Look into the known stores that were not looked at just now, and return what is new, a sentence each.

    The time between two looks grows with the time that a look takes. A look that fails is logged. Raise
    httpx.TransportError if Prefect's server does not answer.
    """
    try:
        return _look_if_due(client)
    except httpx.TransportError:
        raise
    except Exception:
        _log.exception("Jobs that were deleted in Prefect could not be looked for")
        return []


def _look_if_due(client: SyncPrefectClient) -> list[str]:
    before, now = read_record(client), datetime.now(UTC)
    recent = {
        one.place for one in before.looks if now - one.at < max(LOOK_EVERY, timedelta(seconds=_SHARE * one.seconds))
    }
    due = [known for place, known in _places(known_stores(client)).items() if place not in recent]
    if not due:
        return []
    known = {one.job_id for one in before.jobs}
    found = [one for one in look(client, due).jobs if one.job_id not in known and not one.is_kept]
    lines = [f"{one.name} ({one.job_id}): {one.origin.reason} Its evidence is in {one.store}." for one in found]
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"{more:,} more jobs without a run in Prefect were found."] if more > 0 else lines


def look(client: SyncPrefectClient, stores: Iterable[KnownStore] | None = None) -> Record:
    """Look into these stores, by default all known ones, and return the record of all jobs found, now or earlier.

    A store that cannot be read keeps what was found in it before. Raise httpx.TransportError.
    """
    before, began = read_record(client), datetime.now(UTC)
    flows = {str(flow) for flow in kinds_of_flows(client)}
    looks, jobs = list[StoreLook](), list[RecordedJob]()
    for place, known in _places(known_stores(client) if stores is None else stores).items():
        earlier = {one.job_id: one for one in before.jobs if one.place == place}
        started, problem = monotonic(), ""
        try:
            jobs += [
                RecordedJob.of(job, place[1], earlier[job.job_id].seen if job.job_id in earlier else began)
                for job in _jobs_in(client, known.store, flows, earlier)
            ]
        except CollectError as error:
            problem = str(error)
            jobs += earlier.values()
        took = round(monotonic() - started, 3)
        looks.append(
            StoreLook(
                store=place[0], host=place[1], block=known.block, at=datetime.now(UTC), seconds=took, problem=problem
            )
        )
    looked = {one.place for one in looks}
    left = [one for one in before.looks if one.place not in looked and began - one.at < _FORGET_AFTER]
    jobs += [one for one in before.jobs if one.place in {each.place for each in left}]
    record = Record(looks=(*looks, *left), jobs=tuple(jobs))
    write_record(client, record)
    return record


def _places(stores: Iterable[KnownStore]) -> dict[tuple[str, str], KnownStore]:
    """Return the stores by their URL and, of a directory, this machine's name.

    A directory that is not on this machine is left out.
    """
    found = dict[tuple[str, str], KnownStore]()
    for known in stores:
        is_directory = isinstance(known.store, DirectoryStore)
        if not is_directory or Path(known.store.url).is_dir():
            found.setdefault((known.store.url, _host() if is_directory else ""), known)
    return found


def offered(record: Record, now: datetime) -> list[RecordedJob]:
    """Return the jobs of the record of which it can be decided what becomes of them.

    A job whose process cannot be seen from here is among them once that process has had the time of a lease to see
    that its run was deleted.
    """
    waits = timedelta(seconds=LEASE_SECONDS)
    return [one for one in record.jobs if not one.is_open or now - one.seen >= waits]


def update_record(client: SyncPrefectClient, job_id: str, *, is_kept: bool) -> None:
    """Write into the record that a job is kept, or else that its evidence was deleted."""
    record = read_record(client)
    if any(one.job_id == job_id for one in record.jobs):
        others = [one for one in record.jobs if one.job_id != job_id]
        same = [replace(one, is_kept=True) for one in record.jobs if one.job_id == job_id]
        write_record(client, record.model_copy(update={"jobs": (*(same if is_kept else ()), *others)}))


def known_stores(client: SyncPrefectClient) -> Iterator[KnownStore]:
    """Yield the staging stores that are known: the default one, saved ones, and those of deployments and recent jobs.

    One that cannot be opened from here is logged and left out; one may be yielded more than once.
    """
    for value in chain([None], _saved(client), _of_deployments(client), _of_recent_runs(client)):
        try:
            yield KnownStore(place_of(value), _block_of(value))
        except CollectError as error:
            _log.info("Not looked into for deleted jobs: %s", one_line(str(error)))


def _block_of(value: Any) -> UUID | None:
    reference = value.get("$ref") if isinstance(value, dict) else None
    named = reference.get("block_document_id") if isinstance(reference, dict) else reference
    return UUID(str(named)) if named else None


def _saved(client: SyncPrefectClient) -> Iterator[dict[str, Any]]:
    for prefix in STORE_BLOCKS:
        try:
            documents = client.read_block_documents_by_type(prefix.rstrip("/"), 0, PAGE, include_secrets=False)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == _NOT_FOUND:  # no block of this type was ever saved
                continue
            raise
        yield from ({"$ref": {"block_document_id": str(one.id)}} for one in documents if one.name)


def _of_deployments(client: SyncPrefectClient) -> Iterator[Any]:
    only = FlowFilter(name=FlowFilterName(any_=[*KIND_OF_FLOW]))
    found = client.read_deployments(flow_filter=only, limit=PAGE)
    yield from _distinct(one.parameters.get("store") for one in found)


def _of_recent_runs(client: SyncPrefectClient) -> Iterator[Any]:
    found = islice(JobRuns(asking_prefect(client)).newest(None), PAGE)
    yield from _distinct(run.parameters.get("store") for run in found)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return [*{repr(value): value for value in values if value}.values()]


def _jobs_in(
    client: SyncPrefectClient, store: Store, flows: Collection[str], earlier: dict[str, RecordedJob]
) -> Iterator[DeletedJob]:
    """Yield the jobs without a run in a store; what an earlier look found of a job that has ended is not read again."""
    for folder in folders_without_run(store, lambda names: runs_of_ids(client, names)):
        known = earlier.get(folder.job_id)
        if known is not None and not (known.is_open or known.problem) and known.status is not None:
            if folder.is_there():
                yield known
            continue
        job = describe(folder, flows, is_worked_on=session_of(UUID(folder.job_id)) is not None)
        if job is not None:
            yield job


def _host() -> str:
    return str(this_process()["host"])
