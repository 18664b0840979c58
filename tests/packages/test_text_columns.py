"""Columns of item lists as text."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from prefect_collect.packages.building.text_columns import binary_values, csv_rows, hex_texts

_TIME = pa.timestamp("us", tz="UTC")
_TEXTS = [None, "", '"', 'a"b', "x,y", "two\nlines", "\r", "'", " ", "é", "=1"]
_NUMBERS = [None, 0, -1, 1 << 62]
_TIMES = [None, 0, -1, 123456, 10**15, -62135596800 * 10**6, 253402300799 * 10**6 + 999999]


@pytest.mark.parametrize(("start", "count"), [(0, 0), (0, 300), (3, 1), (3, 200)])
def test_csv_rows_are_those_that_arrow_writes(start: int, count: int) -> None:
    """Texts, numbers and times, also the first and the last ones, give the bytes that Arrow's own writer gives."""
    table = pa.table(
        {
            "text": pa.array([_TEXTS[at % len(_TEXTS)] for at in range(300)], pa.string()),
            "number": pa.array([_NUMBERS[at % len(_NUMBERS)] for at in range(300)], pa.int64()),
            "time": pa.array([_TIMES[at % len(_TIMES)] for at in range(300)], pa.int64()).cast(_TIME),
            "nothing": pa.nulls(300, pa.string()),
        }
    ).slice(start, count)
    written = io.BytesIO()
    pa_csv.write_csv(table, written, pa_csv.WriteOptions(include_header=False))
    assert bytes(csv_rows(table)) == written.getvalue()


@pytest.mark.parametrize("values", [[], [b"ab", b"\x00\xff", b"zz"], [b"ab", None, b"zz"]])
def test_values_and_hex_of_digests(values: list[bytes | None]) -> None:
    """Digests are read, and written in hex, as they stand in a column or a part of one."""
    column = pa.array(values, pa.binary(2))
    for part, given in ((column, values), (column[1:], values[1:])):
        assert binary_values(part) == given
        assert hex_texts(part).to_pylist() == [one and one.hex() for one in given]
