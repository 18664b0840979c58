"""The collection that an export is made from, as it was when the export was first started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import ActionNotAllowed, EvidenceError, KeyMissing, UsageError
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.checked_evidence import Vouched, vouched
from prefect_collect.job_folder.custody_events import below
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.kept_table import KeptTable
from prefect_collect.job_folder.ledger import recorded_segments
from prefect_collect.job_folder.parquet import read_schema
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import Batches
from prefect_collect.pages.text import be, counted
from prefect_collect.statuses import JobKind, JobStatus, NextStep, require_step
from prefect_collect.stores import Blob, Store
from prefect_collect.threads.pool import Pool

_UNCHANGED: Final = "unchanged"
_PART_ROWS: Final = 8192
_THREADS: Final = 16


@dataclass(frozen=True)
class BoundCollection:
    """The collection that an export is made from, as it was when the export was first started."""

    folder: JobFolder
    record: JobRecord
    result: TaskResult
    vouched: Vouched
    """What the custody log of the collection vouches for."""
    in_order: Batches | None = None
    """The items held, in the order in which a package has them; None: that of the manifest."""

    @cached_property
    def late(self) -> str:
        """The warning that the custody log did not vouch for the collection from the start; "" if it did."""
        return self.vouched.late(self.result.attempt)

    def as_of(self) -> datetime:
        """Return when the first attempt ended that held items or had listed the source to its end.

        Later attempts carry that over as it was then, however much later they end. Of an attempt whose process was
        lost, only the start is known. Raise KeyMissing, CorruptPart.
        """
        for number in self.folder.closed_attempts():
            if number >= self.result.attempt:
                break
            earlier = self.vouched.result(number)
            if earlier.listing_complete or earlier.counts.succeeded:
                is_lost = earlier.ended > self.folder.claimed_at(number + 1)  # the later attempt closed it
                return earlier.started if is_lost else earlier.ended
        return self.result.ended

    @cached_property
    def manifest(self) -> Batches:
        """The items held."""
        if self.in_order is not None:
            return self.in_order
        key = store_keys.manifest_key(self.folder.job_id, self.result.attempt)
        return KeptTable(
            lambda columns: self.vouched.batches(key, columns, _PART_ROWS),
            table_columns.MANIFEST.names,
            self.result.counts.succeeded,
        )

    @property
    def missing(self) -> Batches:
        """The items that were not collected, in the columns of `NOT_DELIVERED`."""
        key = store_keys.report_key(self.folder.job_id, self.result.attempt, "errors.parquet")
        renamed = {"path": "original_path", "size": "source_size"}

        def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
            for batch in self.vouched.batches(key):
                items = batch.filter(pc.is_valid(batch["item_id"]))
                items = items.rename_columns([renamed.get(name, name) for name in items.schema.names])
                yield pa.RecordBatch.from_arrays(
                    [_column(items, name) for name in columns],
                    schema=pa.schema(map(table_columns.LEDGER.field, columns)),
                )

        return batches

    def warnings(self, listed: str) -> tuple[str, ...]:
        """Return the warnings about what the collection lacks, which a package lists in its file `listed`."""
        counts = self.result.counts
        is_lacking = counts.failed + counts.left > 0
        found = [self.late] if self.late else []
        if counts.elsewhere or is_lacking:
            kinds = {
                "failed": counts.failed,
                "skipped": counts.skipped - count_unchanged(self.result),  # of these another warning tells
                "not attempted": counts.left,
                "elsewhere (the source has only links to them)": counts.elsewhere,
            }
            named = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)
            number = sum(kinds.values())
            lacking = (
                f"Of the collection's {counted(counts.found, 'item')}, {number:,} {be(number)} not in this package, "
                f"which lists {'it' if number == 1 else 'them'} in {listed}: {named}."
            )
            found.insert(0, lacking)
        if not is_lacking and self.result.status is not JobStatus.SUCCESSFULLY_COMPLETED:
            # The job as a whole failed, such as a listing that broke off.
            found.insert(0, f"The collection is {self.result.status}: {self.result.message}")
        return tuple(found)

    def ledger_keys(self) -> list[str]:
        """Return the keys of all ledger parts up to the bound attempt."""
        folder = self.folder
        return [
            store_keys.ledger_key(folder.job_id, attempt, part)
            for attempt in folder.attempts()
            if attempt <= self.result.attempt
            for part in folder.parts("ledger", attempt)
        ]

    def segments(self) -> dict[str, Blob]:
        """Return size and ETag of segments as recorded at their commit, if the custody log vouches for that."""
        folder, keys = self.folder, self.ledger_keys()
        hashes = self.vouched.hashes([below(folder, key) for key in keys])
        keys = [key for key in keys if below(folder, key) in hashes]
        known: dict[str, Blob] = {}
        with Pool(_THREADS, "binding") as pool:
            for found in pool.map(lambda key: _recorded(folder.store, key, hashes[below(folder, key)]), keys):
                known |= found
        return known


def count_unchanged(result: TaskResult) -> int:
    """Return how many items a collection found unchanged, and did not take because an earlier job holds them."""
    return result.codes.get(_UNCHANGED, 0)


def _column(items: pa.RecordBatch, name: str) -> pa.Array:
    type_ = table_columns.LEDGER.field(name).type
    return items[name].cast(type_) if name in items.schema.names else pa.nulls(items.num_rows, type_)


def _recorded(store: Store, key: str, sha256: str) -> dict[str, Blob]:
    """Return the segments of a ledger part; none if it is lost or changed, so that they are read to be proven."""
    try:
        return recorded_segments(read_schema(store, key, metadata=True, sha256=sha256))
    except (EvidenceError, KeyMissing):
        return {}


def bind_collection(store: Store, collection: str, attempt: int | None = None) -> BoundCollection:
    """Return the collection to export, as of that attempt or (None) as it is now.

    Raises:
        JobNotFound: The job does not exist.
        UsageError: The job is not a collection.
        ActionNotAllowed: Its status does not offer Export.
        EvidenceError: Its files differ from what its custody log vouches for.
    """
    folder = JobFolder(store, collection)
    record = folder.record()
    if record.kind is not JobKind.COLLECTION:
        raise UsageError(f"collection_job must be a collection, but this is an {record.kind} job. [job={collection}]")
    result = folder.present() if attempt is None else folder.result(attempt)
    if result is None:
        raise ActionNotAllowed(f"The collection has no result yet, so there is nothing to export. [job={collection}]")
    if attempt is None:
        require_step(result.kind, result.status, NextStep.EXPORT)
    found = vouched(folder, result.attempt)
    found.require_attempt(result.attempt)
    return BoundCollection(folder, found.record(), found.result(result.attempt), found)
