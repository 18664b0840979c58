"""Compares a bag's items.csv, which users read, with items.parquet, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from prefect_collect.escaping import csv_text
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.items_check import NAME, unpacked
from prefect_collect.packages.bags.row_stream import RowStream
from prefect_collect.packages.bags.tag_files import FOREIGN, ITEMS, ITEMS_OPTIONAL
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

TABLE: Final = "items.csv"

_ROWS: Final = 4096
_IDENTITY: Final = ("path", "item_id")
"""The columns by which a row is an item: rows after another item are not compared."""

_LONGEST_HEADER: Final = 4096


def check_items_table(bag: BagFiles, pause: Callable[[], None] = lambda: None) -> None:
    """Compare items.csv with items.parquet: the same columns, and the same items in the same order with the same cells.

    `pause` is called again and again meanwhile. Raise Damaged.
    """
    table, exact, problems = bag.entry(TABLE), bag.entry(NAME), bag.findings.problems
    if table is None or exact is None:
        problems.add(TABLE, "it is missing" if table is None else f"there is no {NAME} to compare it with")
        return
    with unpacked(bag, table) as file, unpacked(bag, exact) as other:
        at = 0
        try:
            listed = BoundedParquet(other, ITEMS, ITEMS_OPTIONAL)
            names: list[str] = listed.schema.names
            cells = _cells(file, names)
            for batch in listed.batches(names, _ROWS):
                pause()
                rows = pa.Table.from_batches([batch])
                for row, name in _others(rows, cells.take(rows.num_rows)):
                    if name in _IDENTITY:
                        problems.add(TABLE, f"row {at + row + 1:,} is not the item that {NAME} has there")
                        return
                    problems.add(TABLE, f"row {at + row + 1:,} has another {name!r} than {NAME} states")
                at += rows.num_rows
            if cells.take(1).num_rows:
                problems.add(TABLE, f"it has more than the {at:,} items of {NAME}")
        except BadParquet:
            return  # reported already
        except pa.ArrowException as error:
            problems.add(TABLE, f"it cannot be read as the list of items: {str(error).splitlines()[0][:200]}")


def _cells(file: Any, names: Sequence[str]) -> RowStream:
    """Return the rows of items.csv, read in blocks of 256 KiB; this and reading them raise ArrowException."""
    header = file.readline(_LONGEST_HEADER).decode("utf-8", "replace").replace('"', "").rstrip("\r\n")
    if header != ",".join(names):
        raise pa.ArrowInvalid(f"its columns are not those of {NAME}")
    file.seek(0)
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    reading = csv.ReadOptions(use_threads=False, block_size=1 << 18)
    blocks = csv.open_csv(file, read_options=reading, parse_options=parse, convert_options=convert)
    return RowStream(blocks, pa.schema([(name, pa.string()) for name in names]))


def _others(rows: pa.Table, cells: pa.Table) -> Iterator[tuple[int, str]]:
    """Yield row and column of each cell that is not its value, as it is written for spreadsheets, row by row.

    A missing row is another item.
    """
    count = cells.num_rows
    wrong: list[tuple[int, int, str]] = []
    for place, name in enumerate(rows.schema.names):
        values, found = _written(rows[name][:count]), cells[name]
        rank = 0 if name in _IDENTITY else 1 + place
        wrong += [
            (row, rank, name)
            for row in np.flatnonzero(pc.not_equal(values, found).to_numpy()).tolist()
            if name not in FOREIGN or csv_text(found[row].as_py()) != values[row].as_py()
        ]
    yield from ((row, name) for row, _, name in sorted(wrong))
    if count < rows.num_rows:
        yield count, _IDENTITY[0]


def _written(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as texts: times by ISO 8601 in UTC, with a space, and nothing for null."""
    if pa.types.is_timestamp(column.type):
        column = pc.binary_join_element_wise(column.cast(pa.timestamp("us")).cast(pa.string()), "Z", "")
    return pc.fill_null(column.cast(pa.string()), "")
