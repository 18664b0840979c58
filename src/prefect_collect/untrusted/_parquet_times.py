"""Checks the times in columns of Parquet files that others wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa


class BadParquet(ValueError):
    """The file is damaged, or claims more than it can hold; the message says which."""


_TIMES: Final = tuple(
    int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    for at in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
)
_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def check_times(name: str, column: pa.Array) -> None:
    """Check that Python has a date for each time of the column `name`. Raise BadParquet if it has none."""
    if not pa.types.is_timestamp(column.type) or not len(column):
        return
    unit = _UNITS[column.type.unit]
    first, end = _TIMES[0] * unit, (_TIMES[1] + 1) * unit
    if _all_within(column, first, end):
        return
    import pyarrow.compute as pc

    found = pc.min_max(column.cast(pa.int64()))
    if found["min"].is_valid and (found["min"].as_py() < first or found["max"].as_py() >= end):
        raise BadParquet(f"its column {name} holds a time outside of the years 1 to 9999")


def _all_within(column: pa.Array, first: int, end: int) -> bool:
    """Return whether all numbers of a column of times lie in the range, also those that stand for nulls."""
    numbers = pa.Array.from_buffers(pa.int64(), len(column), [None, column.buffers()[1]], offset=column.offset)
    values = numbers.to_numpy()
    return first <= int(values.min()) and int(values.max()) < end
