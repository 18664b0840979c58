"""Python has a date for each time that is read from Parquet."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from prefect_collect.untrusted._parquet_times import have_dates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6}


def _column(numbers: list[int | None], unit: str) -> pa.Array:
    return pa.array(numbers, pa.int64()).cast(pa.timestamp(unit, "UTC"))


@pytest.mark.parametrize("unit", _UNITS)
def test_times_outside_of_the_years_of_python_are_found(unit: str) -> None:
    """The first and the last moment have a date, one unit beyond has none; in slices, and beside nulls."""
    first = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * _UNITS[unit]
    last = (int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds()) + 1) * _UNITS[unit] - 1
    assert have_dates(_column([first, None, last], unit))
    assert not have_dates(_column([0, None, first - 1], unit))
    assert not have_dates(_column([last + 1], unit))
    column = _column([last + 1, 0, None, first - 1], unit)
    assert have_dates(column.slice(1, 2))
    assert not have_dates(column.slice(1))


def test_what_stands_where_a_column_is_null_is_no_time() -> None:
    """Numbers without a date are passed over where they are null; nulls, no rows, texts and nanoseconds are good."""
    behind = pa.array([2**63 - 1, 0], pa.int64()).buffers()[1]
    nulls = pa.py_buffer(b"\x02")
    assert have_dates(pa.Array.from_buffers(pa.timestamp("us", "UTC"), 2, [nulls, behind]))
    assert not have_dates(pa.Array.from_buffers(pa.timestamp("us", "UTC"), 2, [None, behind]))
    for column in (pa.nulls(3, pa.timestamp("ns")), _column([], "us"), pa.array(["9" * 20])):
        assert have_dates(column)
    assert have_dates(_column([-(2**63), 2**63 - 1], "ns"))
