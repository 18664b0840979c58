"""Incremental collections: compare with what earlier jobs of a source hold, and collect only new and changed items.

An item that an earlier job holds is *unchanged* if its listing proves it (no attribute differs, and there are enough of
them), or if it was read and has the SHA-256 of the held one. If several jobs hold an item, the one that collected it
last counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prefect_collect import freed_memory
from prefect_collect.collecting.held_records import Records, held_records, is_same, listed_item
from prefect_collect.collecting.held_texts import HeldTexts
from prefect_collect.errors import CollectError, EvidenceError, KeyMissing
from prefect_collect.job_folder import table_columns
from prefect_collect.job_folder.folder import JobFolder, JobRecord, job_folders
from prefect_collect.job_folder.grown_array import GrownArray
from prefect_collect.job_folder.id_sets import digests
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.sources import Item
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import Store
from prefect_collect.threads.stop import current_stop

_NAMED: Final = 5
"""How many jobs a sentence names."""

_COMPLETED: Final = (JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED)


def since_options(store: Store, record: JobRecord) -> dict[str, Any]:
    """Return the `options` that ``job.json`` keeps of a new incremental collection (``since="last"``)."""
    return {"since": "last", "since_jobs": last_jobs(store, record)}


def last_jobs(store: Store, record: JobRecord) -> list[str]:
    """Return the ids of the jobs that a new collection compares with, the latest first.

    These are the completed collections of the same source (name, type and location), back to the latest one that
    collected everything that the same query matches. Jobs that cannot be read, or got nothing, are left out.
    """
    found: list[tuple[JobRecord, TaskResult]] = []
    for folder in job_folders(store):
        if folder.job_id == record.job_id:
            continue
        try:
            other = folder.record()
            result = folder.result() if _is_same_source(other, record) else None
        except CollectError:
            continue
        if result is not None and result.status in _COMPLETED:
            found.append((other, result))
    found.sort(key=lambda pair: pair[1].ended, reverse=True)
    jobs = []
    for other, result in found:
        if result.counts.succeeded or result.relies_on:  # else its query may have matched nothing
            jobs.append(other.job_id)
        if _is_everything(other, result) and other.query == record.query:
            break
    return jobs


def _is_same_source(one: JobRecord, other: JobRecord) -> bool:
    same = all(one.source.get(name) == other.source.get(name) for name in ("name", "type", "location"))
    return same and one.kind is other.kind is JobKind.COLLECTION


def _is_everything(record: JobRecord, result: TaskResult) -> bool:
    return (
        not record.options.get("since")
        and result.listing_complete
        and result.status is JobStatus.SUCCESSFULLY_COMPLETED
    )


def needed_by(store: Store, job_id: str) -> list[str]:
    """Return the ids of the jobs that rely on items which this job holds: it must not be deleted before them.

    A job that has an open attempt, or has not run yet, counts as relying on every job that it compares with.
    """
    return [folder.job_id for folder in job_folders(store) if folder.job_id != job_id and job_id in _relied_on(folder)]


def _relied_on(folder: JobFolder) -> Sequence[str]:
    try:
        jobs: Sequence[str] = folder.record().options.get("since_jobs") or ()
        result = folder.result() if jobs else None
    except CollectError:
        return ()
    is_open = result is None or max(folder.attempts(), default=0) > result.attempt
    return jobs if result is None or is_open else result.relies_on


def incremental_text(record: JobRecord, this: Counts, by_holder: dict[str, list[int]]) -> str:
    """Return the outcome of an incremental attempt in numbers; `by_holder` has those of each job compared with."""
    same, changed = (sum(numbers[at] for numbers in by_holder.values()) for at in (0, 1))
    holders = sorted(((numbers[0], job) for job, numbers in by_holder.items() if numbers[0]), reverse=True)
    named = [f"{number:,} by job {job}" for number, job in holders[:_NAMED]]
    if more := len(holders) - len(named):
        named.append(f"others by {more} more jobs")
    held = f" (held: {', '.join(named)})" if named else ""
    jobs = record.options.get("since_jobs")
    since = f"since job {jobs[0]}" if jobs else "without items of an earlier job"
    return (
        f"Incremental {since}: {same:,} of {this.found:,} items unchanged{held}, {changed:,} changed, "
        f"{this.succeeded - changed:,} new."
    )


class Incremental:
    """The items that some jobs hold, as a lookup by item id.

    It takes 24 bytes of memory an item, and 76 in a temporary file; with `listings`, by which it is also `HeldItems`
    for a source, 8 bytes more, and the path in another file. Close it, or use it as a context manager. A job is
    left out if it was deleted, or if its custody log did not vouch for its manifest from the start: its items are read
    and collected again, and `left_out` has a sentence with the reason. Raise StoreError, and JobCanceled if the
    `current_stop` is set to cancel.
    """

    def __init__(self, store: Store, jobs: Sequence[str], *, listings: bool = False) -> None:
        self.jobs = [*jobs]
        self.left_out: list[str] = []
        self._texts = HeldTexts() if listings else None
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - see close
        try:
            self._read(store, jobs)
        except BaseException:
            self.close()
            raise

    def _read(self, store: Store, jobs: Sequence[str]) -> None:
        stop = current_stop()
        high, low = GrownArray("<u8"), GrownArray("<u8")
        for number, job in enumerate(jobs):
            try:
                for rows, records in held_records(store, job, number):
                    stop.require_going()
                    keys = digests(rows["item_id"].to_pylist())
                    high.add(keys[:, 0])
                    low.add(keys[:, 1])
                    if self._texts is not None:
                        self._texts.add(rows)
                    self._file.write(records.tobytes())
            except (KeyMissing, EvidenceError) as error:
                self.left_out.append(f"Job {job} was not compared with, so its items are collected again: {error}")
        self._file.flush()
        self._records = Records(self._file)
        self._index(high, low)
        freed_memory.give_back()

    def _index(self, high: GrownArray, low: GrownArray) -> None:
        """Sort the keys, one half after the other: of those that are equal, the one that was collected last stays."""
        self._high, self._low = high.array(), low.array()
        self._rows = np.argsort(self._high)
        self._high = self._high[self._rows]
        self._low = self._low[self._rows]
        again = self._high[1:] == self._high[:-1]
        if not again.any():
            return
        alike = np.zeros(len(self._rows), bool)
        alike[1:] = again
        alike[:-1] |= again
        rows, halves = self._rows[alike], (self._low[alike], self._high[alike])
        order = np.lexsort((rows, -self._records.of(rows)["collected"], *halves))
        self._rows[alike], self._low[alike] = rows[order], halves[0][order]
        is_first = np.ones(len(self._rows), bool)
        is_first[1:] = ~again | (self._low[1:] != self._low[:-1])
        self._high, self._low, self._rows = self._high[is_first], self._low[is_first], self._rows[is_first]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def has_listings(self) -> bool:
        """Whether `items` can be asked."""
        return self._texts is not None

    @property
    def folders(self) -> Collection[str]:
        """What stands before the last "/" of the ids of the items, if `has_listings`."""
        return () if self._texts is None else self._texts.folders

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return the items as they were listed when they were collected; None for those that no job holds."""
        if self._texts is None:
            return [None] * len(ids)
        rows = self._find([*ids])
        records = iter(self._records.of(rows[rows >= 0]))
        return [
            None if row < 0 else listed_item(next(records), id_, *self._texts.of(row))
            for id_, row in zip(ids, rows.tolist(), strict=True)
        ]

    def with_unchanged_skipped(self, inventory: pa.Table) -> pa.Table:
        """Return an inventory part whose unchanged items are skipped; other items that a job holds name that job."""
        rows = self._find(inventory["item_id"].to_pylist())
        rows[inventory["outcome"].is_valid().to_numpy(zero_copy_only=False)] = -1
        hits = np.flatnonzero(rows >= 0)
        if not len(hits):
            return inventory
        records = self._records.of(rows[hits])
        same = is_same(inventory.take(hits), records)
        columns = {
            name: inventory[name].to_pylist() for name in ("outcome", "error_code", "message", "held_sha256", "held_by")
        }
        paths = inventory["original_path"].to_pylist()
        jobs, hashes = records["job"].tolist(), records["sha256"]
        for at, (row, unchanged) in enumerate(zip(hits.tolist(), same.tolist(), strict=True)):
            job = self.jobs[jobs[at]]
            columns["held_by"][row] = job
            columns["held_sha256"][row] = hashes[at].tobytes()
            if unchanged:
                columns["outcome"][row] = "skipped"
                columns["error_code"][row] = "unchanged"
                columns["message"][row] = unchanged_message(job, paths[row])
        for name, values in columns.items():
            field = table_columns.INVENTORY.field(name)
            inventory = inventory.set_column(
                inventory.schema.get_field_index(name), field, pa.array(values, field.type)
            )
        return inventory

    def _find(self, ids: list[str]) -> npt.NDArray[np.int64]:
        """Return the number of each id's record, or -1."""
        found = np.full(len(ids), -1, np.int64)
        wanted = digests(ids)
        at = np.searchsorted(self._high, wanted[:, 0])
        while True:  # Digests with the same first half are neighbours: step along them, in practice once.
            inside = at < len(self._high)
            inside[inside] = self._high[at[inside]] == wanted[inside, 0]
            inside &= found < 0
            if not inside.any():
                return found
            is_it = inside.copy()
            is_it[inside] = self._low[at[inside]] == wanted[inside, 1]
            found[is_it] = self._rows[at[is_it]]
            at[inside] += 1

    def close(self) -> None:
        """Close and so remove the temporary files."""
        self._file.close()
        if self._texts is not None:
            self._texts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unchanged_message(job: str, path: str, *, read: bool = False) -> str:
    """Return why an item is skipped; with `read`, its content was compared, and not only its listing."""
    how = "Its content is the same as" if read else "It was not changed since it was"
    return f"{how}{' that' if read else ''} collected by job {job}, which holds it. [{path}]"
