"""Which rows of a manifest or an error report are shown: a search over millions of rows, a few columns at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.codes import CODES
from prefect_collect.console.page_query import PageQuery, day, whole
from prefect_collect.job_folder.parquet import CopiedTable
from prefect_collect.job_folder.result import Outcome
from prefect_collect.parameters import size_of

OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
SUCCEEDED: Final = "succeeded"

_DAY: Final = timedelta(days=1)

Rows = range | npt.NDArray[np.int32]
"""Ascending numbers of rows."""


@dataclass(frozen=True)
class ItemQuery(PageQuery):
    """What a table of items shows.

    Attributes:
        path: A part of the path, in any case.
        outcome: An outcome; "" for all.
        code: An error code; "" for all, also items without one.
        smallest: The least size, as "500", "1.5 MB" or "2 GiB" (units are binary).
        largest: The greatest size.
        since: The first day on which the items were collected or failed, as 2026-01-31, in UTC.
        until: The last day, which is included.
        attempt: The attempt after which the items are shown; "" for the last.
    """

    path: str = ""
    outcome: str = ""
    code: str = ""
    smallest: str = ""
    largest: str = ""
    since: str = ""
    until: str = ""
    attempt: str = ""

    def understood(self) -> Self:
        """Return the query without values that cannot be understood."""
        return replace(
            self,
            outcome=self.outcome if self.outcome in OUTCOMES else "",
            code=self.code if self.code in CODES else "",
            smallest=self.smallest if size_of(self.smallest) is not None else "",
            largest=self.largest if size_of(self.largest) is not None else "",
            since=self.since if day(self.since) else "",
            until=self.until if day(self.until) else "",
            attempt=self.attempt if whole(self.attempt, 99_999) else "",
        )

    @classmethod
    def unfiltering(cls) -> tuple[str, ...]:
        """Return the names of the fields that leave no row out."""
        return ("page", "attempt")

    @property
    def attempt_number(self) -> int | None:
        """The attempt as a number; None for the last."""
        return whole(self.attempt, 99_999)

    @property
    def takes_held(self) -> bool:
        """True if items that succeeded may be among the rows."""
        return not self.code and self.outcome in ("", SUCCEEDED)

    @property
    def takes_reported(self) -> bool:
        """True if items that did not succeed may be among the rows."""
        return self.outcome != SUCCEEDED


def held_rows(table: CopiedTable, query: ItemQuery) -> Rows:
    """Return the numbers of the rows of a manifest that the query takes, in their order."""
    return _matching(table, query, "collected_at", items_only=False) if query.takes_held else range(0)


def reported_rows(table: CopiedTable, query: ItemQuery, *, items_only: bool = True) -> Rows:
    """Return the numbers of the rows of an error report that the query takes; rows without an item if they may stay."""
    if not query.takes_reported:
        return range(0)
    return _matching(table, query, "last_failed_at", items_only=items_only)


def _matching(table: CopiedTable, query: ItemQuery, time: str, *, items_only: bool) -> Rows:
    columns = _columns(query, time, items_only=items_only)
    if not columns:
        return range(table.num_rows)
    found, start = [np.empty(0, np.int32)], 0
    for batch in table.batches(columns):
        found.append((np.flatnonzero(_mask(batch, query, time)) + start).astype(np.int32))
        start += batch.num_rows
    return np.concatenate(found)


def _columns(query: ItemQuery, time: str, *, items_only: bool) -> list[str]:
    reported = time != "collected_at"
    wanted = {
        "item_id": items_only,
        "path": query.path,
        "outcome": query.outcome and reported,
        "error_code": query.code and reported,
        "size": query.smallest or query.largest,
        time: query.since or query.until,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def _mask(batch: pa.RecordBatch, query: ItemQuery, time: str) -> npt.NDArray[np.bool_]:
    mask = np.ones(batch.num_rows, bool)
    for name in batch.schema.names:
        column = batch[name]
        if name == "item_id":
            mask &= _flags(pc.is_valid(column))
        elif name == "path":
            mask &= _flags(pc.match_substring(column, query.path, ignore_case=True))
        elif name in ("outcome", "error_code"):
            mask &= _flags(pc.equal(column, query.outcome if name == "outcome" else query.code))
        elif name == "size":
            if (least := size_of(query.smallest)) is not None:
                mask &= _flags(pc.greater_equal(column, least))
            if (most := size_of(query.largest)) is not None:
                mask &= _flags(pc.less_equal(column, most))
        elif name == time:
            if (first := day(query.since)) is not None:
                mask &= _flags(pc.greater_equal(column, pa.scalar(first, column.type)))
            if (last := day(query.until)) is not None:
                mask &= _flags(pc.less(column, pa.scalar(last + _DAY, column.type)))
    return mask


def _flags(column: pa.Array) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
    return flags
