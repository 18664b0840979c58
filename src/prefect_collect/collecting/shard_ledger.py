"""The outcome of every item of one shard, which becomes a ledger part."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from time import time_ns
from typing import Any

import numpy as np
import pyarrow as pa

from prefect_collect.archive.segments import Entry
from prefect_collect.codes import Failure
from prefect_collect.job_folder import table_columns
from prefect_collect.job_folder.folder import now
from prefect_collect.job_folder.ledger import ledger_table, time_values
from prefect_collect.sources.digests import Digest
from prefect_collect.sources.metadata import CREATED, MODIFIED, metadata_text, with_times

_HELD = [field.name for field in table_columns.HELD if field.name != "size"]
_WHY = [("error_code", "code"), ("message", "message"), ("http_status", "http_status")]


class ShardLedger:
    """Collects the outcome of every row of an inventory part, in any order, and becomes a ledger part.

    Only its methods change it, and while a shard is collected, only `Staging` calls them. It keeps columns, because a
    shard writes thousands of rows and Arrow takes whole columns at a fraction of the cost.
    """

    def __init__(self, inventory: pa.Table) -> None:
        self.inventory = inventory
        rows = inventory.num_rows
        self._outcomes: list[str | None] = inventory["outcome"].to_pylist()
        self._failures: dict[int, Failure] = {}
        self._tries = [int(outcome == "failed") for outcome in self._outcomes]
        self._sizes: list[int | None] = [None] * rows
        since: list[datetime | None] = inventory["failed_since"].to_pylist()
        self._failed_since = {row: at for row, at in enumerate(since) if at is not None}
        # Items that the listing could not read failed when they were listed.
        listed = [row for row, outcome in enumerate(self._outcomes) if outcome == "failed"]
        self._last_failed: dict[int, datetime] = dict.fromkeys(listed, now())
        self._first_failed = {row: self._failed_since.get(row, at) for row, at in self._last_failed.items()}
        self._held: dict[str, list[Any]] = {name: [None] * rows for name in _HELD}
        self._columns = tuple(self._held.values())
        self._metadata: dict[int, str] = {}
        self._created = _times_of(inventory["source_created"])
        self._undated = _nulls_of(inventory["source_modified"])
        self._listed_before = _rows_listed_before(inventory) - self._undated
        self._modified: dict[int, datetime] = {}

    def tried(self, row: int) -> None:
        """Count a try at the item."""
        self._tries[row] += 1

    def succeeded(self, row: int, digest: Digest, segment: str, entry: Entry) -> None:
        """Record that the item was staged: its size, its hashes, its place, and what the source states beside."""
        self._outcomes[row] = "succeeded"
        if self._failures:
            self._failures.pop(row, None)
        sha256, crc32, segments, entry_offset, offset, stored_size, deflated, collected_at, md5, sha1 = self._columns
        self._sizes[row] = digest.size
        sha256[row] = digest.sha256
        crc32[row] = digest.crc32
        segments[row] = segment
        entry_offset[row] = entry.entry_offset
        offset[row] = entry.offset
        stored_size[row] = entry.stored_size
        deflated[row] = entry.deflated
        collected_at[row] = time_ns() // 1000
        md5[row] = digest.asked("md5")
        sha1[row] = digest.asked("sha1")
        if row in self._listed_before and digest.modified is not None:
            self._modified[row] = digest.modified
        if (self._created or self._undated) and (times := self._times_beside(row, digest)):
            self._metadata[row] = with_times(digest.metadata, times)
        elif digest.metadata is not None:
            self._metadata[row] = metadata_text(digest.metadata)

    def _times_beside(self, row: int, digest: Digest) -> dict[str, datetime]:
        """Return the times of an item that the ledger has no column for: its creation, and a change not listed."""
        times = {CREATED: self._created[row]} if row in self._created else {}
        return times | {MODIFIED: digest.modified} if row in self._undated and digest.modified is not None else times

    def failed(self, row: int, failure: Failure, at: datetime, outcome: str | None = "failed") -> None:
        """Record that a try at the item failed, or that it is skipped; `outcome` is None if it will be tried again."""
        self._outcomes[row] = outcome
        self._failures[row] = failure
        self._sizes[row] = None
        for column in self._held.values():
            column[row] = None
        if outcome not in ("not_attempted", "skipped"):
            self._first_failed.setdefault(row, self._failed_since.get(row, at))
            self._last_failed[row] = at

    def undo(self, row: int) -> None:
        """Remove the outcome of a staged item whose segment is not kept."""
        self._outcomes[row] = self._sizes[row] = None
        for column in self._columns:
            column[row] = None

    def close(self, why: Failure, at: datetime) -> None:
        """Give every row an outcome: one without was not attempted (`why`), or was cut off before its last try."""
        for row in self.undecided():
            if row in self._failures:
                self._outcomes[row] = "failed"
            else:
                self.failed(row, why, at, "not_attempted")

    def undecided(self) -> list[int]:
        """Return the rows without an outcome."""
        return [row for row, outcome in enumerate(self._outcomes) if outcome is None]

    def is_undecided(self, row: int) -> bool:
        """Return whether the row has no outcome."""
        return self._outcomes[row] is None

    def count(self, outcome: str) -> int:
        """Return how many rows have that outcome."""
        return self._outcomes.count(outcome)

    def tries_of(self, row: int) -> int:
        """Return how often the item was tried."""
        return self._tries[row]

    def bytes_of(self, rows: Iterable[int]) -> int:
        """Return the bytes of those items that succeeded."""
        return sum(self._sizes[row] or 0 for row in rows)

    def table(self) -> pa.Table:
        """Return the ledger part. Every row must have an outcome."""
        inventory = self.inventory
        columns: dict[str, Any] = {field.name: inventory[field.name] for field in table_columns.LISTED}
        columns |= {"source_created": inventory["source_created"], "source_modified": self._modified_times()}
        columns |= {name: self._why(name, attribute) for name, attribute in _WHY}
        columns |= {"outcome": self._outcomes, "tries": self._tries, "size": self._sizes, **self._held}
        columns |= {
            "held_by": inventory["held_by"],
            "metadata": self._described(),
            "first_failed_at": self._times(self._first_failed),
            "last_failed_at": self._times(self._last_failed),
        }
        return ledger_table(columns)

    def _modified_times(self) -> Any:
        """Return the times of the last changes: as listed, or as stated when an item listed before was opened."""
        listed = self.inventory["source_modified"]
        if not self._modified:
            return listed
        times = time_values(listed)
        for row, at in self._modified.items():
            if self._outcomes[row] == "succeeded":
                times[row] = at
        return times

    def _why(self, name: str, attribute: str) -> Any:
        listed = self.inventory[name]
        if not self._failures:
            return listed
        column = listed.to_pylist()
        for row, failure in self._failures.items():
            column[row] = getattr(failure, attribute)
        return column

    def _described(self) -> Any:
        """Return the metadata of those items that succeeded."""
        if not self._metadata:
            return pa.nulls(len(self._outcomes), pa.string())
        rows = enumerate(self._outcomes)
        return [self._metadata.get(row) if outcome == "succeeded" else None for row, outcome in rows]

    def _times(self, times: dict[int, datetime]) -> Any:
        rows = self.inventory.num_rows
        return [times.get(row) for row in range(rows)] if times else pa.nulls(rows)


def _times_of(column: pa.ChunkedArray) -> dict[int, datetime]:
    """Return the times of a column by row."""
    if column.null_count == len(column):
        return {}
    return {row: at for row, at in enumerate(time_values(column)) if at is not None}


def _rows_listed_before(inventory: pa.Table) -> frozenset[int]:
    """Return the rows of items that an earlier attempt listed."""
    is_current = inventory["is_current"].to_numpy()
    if is_current.all():
        return frozenset()
    return frozenset(np.flatnonzero(~is_current).tolist())


def _nulls_of(column: pa.ChunkedArray) -> frozenset[int]:
    """Return the rows in which a column is null."""
    return frozenset(np.flatnonzero(column.is_null().to_numpy()).tolist()) if column.null_count else frozenset()


def not_attempted(inventory: pa.Table, why: Failure) -> pa.Table:
    """Return the ledger part of a shard that was never committed: its items, unless decided, are not attempted."""
    ledger = ShardLedger(inventory)
    ledger.close(why, now())
    return ledger.table()
