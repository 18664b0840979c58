"""Which items of an export have the bytes of others: of the same collection, and of earlier jobs that a user names.

Earlier jobs are collections and exports of the same staging store. An item that a collection holds is only marked: its
receiver may not have it. With `deduplicate`, one that an export has delivered is not delivered again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from prefect_collect.errors import JobNotFound, PackageError, UsageError
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import Checked, Earlier, find_duplicates
from prefect_collect.parameters import Deduplicate
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Store

MOST_JOBS: Final = 100
"""The most earlier jobs that an export can be compared with."""

_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
"""What may be the id of a job, so that the staging store is asked for it."""


def require_comparable(store: Store, collection: str, jobs: Sequence[str]) -> None:
    """Raise UsageError if a job that the export is to be compared with cannot be, before the export is made.

    Raise EvidenceError and StoreError, too.

    Args:
        store: The collection's staging store.
        collection: The id of the collection that is exported; "" if it is not made yet.
        jobs: The ids of the earlier jobs.
    """
    if len(jobs) > MOST_JOBS:
        raise UsageError(f"An export can be compared with at most {MOST_JOBS} jobs. [duplicates_of={len(jobs)} jobs]")
    for job in jobs:
        if _ID.fullmatch(job) is None:
            raise UsageError(f"duplicates_of must be ids of earlier jobs. [duplicates_of={str(job)[:60]!r}]")
        if job == collection:
            raise UsageError(
                "duplicates_of names the collection that is exported, of which every item would be a duplicate of "
                f"itself; name earlier jobs. [duplicates_of={job}]"
            )
        try:
            _earlier(store, job)
        except PackageError as error:
            raise UsageError(str(error)) from error


def mark_duplicates(
    bound: BoundCollection, checked: Checked, deduplicate: Deduplicate | None, jobs: Sequence[str], job_id: str
) -> None:
    """Find the duplicates among the checked items, and withhold those that are not to be delivered.

    What an earlier attempt of the export `job_id` has delivered stays the original of its duplicates, so that a retry
    does not replace one file of a package by another with the same bytes.

    Raises:
        PackageError: An earlier job is not there, or has nothing to compare with.
        EvidenceError: Its files differ from what its custody log vouches for.
        StoreError: They cannot be read.
    """
    before = _delivered_before(bound, checked.items, job_id) if deduplicate is not None and job_id else None
    earlier = [_earlier(bound.folder.store, job) for job in jobs]
    checked.withhold(find_duplicates(bound.manifest, checked.bad, deduplicate, before, earlier))


def with_duplicates(result: TaskResult, checked: Checked | None, deduplicate: Deduplicate | None) -> TaskResult:
    """Return the result of an export that made a package with the counts of its duplicates, also as a sentence."""
    if result.package is None or checked is None or checked.duplicates is None:
        return result
    counts = checked.duplicates.counts(deduplicate)
    message = f"{result.message} {counts.text}" if counts.items else result.message
    return replace(result, duplicates=counts, message=message)


def _earlier(store: Store, job: str) -> Earlier:
    """Return the items of a job that an export can be compared with. Raise PackageError, EvidenceError, StoreError."""
    folder = JobFolder(store, job)
    try:
        kind = folder.record().kind
    except JobNotFound as error:
        raise PackageError(
            f"There is no job of that id in the staging store of the collection, so its items cannot be compared; name "
            f"another, or leave it out. [duplicates_of={job}]"
        ) from error
    result = _delivered(folder) if kind is JobKind.EXPORT else folder.result()
    if result is None:
        raise PackageError(
            f"The {kind.value} has {'delivered' if kind is JobKind.EXPORT else 'collected'} nothing yet, so its items "
            f"cannot be compared; leave it out. [duplicates_of={job}]"
        )
    found = vouched(folder, result.attempt, enter=False)
    key = store_keys.manifest_key(folder.job_id, result.attempt)
    return Earlier(folder.job_id, kind is JobKind.EXPORT, lambda columns: found.batches(key, columns))


def _delivered(folder: JobFolder) -> TaskResult | None:
    """Return the result of the last attempt of an export that made a package; None if none did."""
    for attempt in reversed(folder.closed_attempts()):
        result = folder.result(attempt)
        if result is not None and result.package is not None:
            return result
    return None


def _delivered_before(bound: BoundCollection, items: int, job_id: str) -> npt.NDArray[np.bool_] | None:
    """Return which rows of the bound manifest the export has delivered before; None if it has delivered nothing."""
    folder = JobFolder(bound.folder.store, job_id)
    result = _delivered(folder)
    if result is None:
        return None
    found = vouched(folder, result.attempt, enter=False)
    key = store_keys.manifest_key(job_id, result.attempt)
    delivered = (str(item) for batch in found.batches(key, ["item_id"]) for item in batch["item_id"].to_pylist())
    rows, awaited = np.zeros(items, np.bool_), next(delivered, None)
    every = (item for batch in bound.manifest(["item_id"]) for item in batch["item_id"].to_pylist())
    for number, item in enumerate(every):  # both have the same order
        if item == awaited:
            rows[number] = True
            awaited = next(delivered, None)
    return rows
