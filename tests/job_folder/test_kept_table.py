"""A table that is walked again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from prefect_collect.errors import CorruptPart
from prefect_collect.job_folder import kept_table
from prefect_collect.job_folder.kept_table import KeptTable

_TABLE = pa.table({"a": range(30), "b": [str(row) for row in range(30)]})


class _Reads:
    """Reads of a table, counted."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        self.asked.append(columns)
        yield from _TABLE.select(columns).to_batches(8)


def test_a_short_table_is_read_once() -> None:
    """Each walk has the columns that it asks for, in the same batches, and the file is read once."""
    read = _Reads()
    table = KeptTable(read, ["a", "b"], 30)
    for columns in (["b"], ["b", "a"], ["a"]):
        assert list(table(columns)) == _TABLE.select(columns).to_batches(8)
    assert read.asked == [["a", "b"]]


@pytest.mark.parametrize(
    ("limit", "most", "rows"), [("MOST_ROWS", 20, 30), ("MOST_ROWS", 20, 5), ("MOST_BYTES", 99, 5)]
)
def test_a_long_table_is_read_each_time(monkeypatch: pytest.MonkeyPatch, limit: str, most: int, rows: int) -> None:
    """A table with more rows than are kept, or more bytes, is read anew, also if fewer rows were expected."""
    monkeypatch.setattr(kept_table, limit, most)
    read = _Reads()
    table = KeptTable(read, ["a", "b"], rows)
    for columns in (["b"], ["a"]):
        assert list(table(columns)) == _TABLE.select(columns).to_batches(8)
    assert read.asked[-2:] == [["b"], ["a"]]
    assert len(read.asked) == 2 + (rows < 30)


def test_damage_is_found_at_each_walk() -> None:
    """A table that cannot be read to its end is not kept."""

    def read(columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from _TABLE.select(columns).to_batches(8)[:1]
        raise CorruptPart("It is damaged. [manifest]")

    table = KeptTable(read, ["a", "b"], 30)
    for _ in range(2):
        with pytest.raises(CorruptPart):
            list(table(["a"]))
