"""Compares the lists over all bags of a group with the lists of its bags, row by row and line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import zip_longest
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.items_check import NAME, unpacked
from prefect_collect.packages.bags.row_stream import RowStream
from prefect_collect.packages.bags.table_check import TABLE
from prefect_collect.packages.bags.tag_files import ITEMS, ITEMS_OPTIONAL
from prefect_collect.packages.bags.text import lines as lines_in
from prefect_collect.packages.building.duplicate_columns import COPIES, DUPLICATE_OF
from prefect_collect.packages.building.metadata_lines import METADATA
from prefect_collect.packages.building.spec import DELIVERED, DUPLICATE
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

REQUIRED: Final = (NAME, TABLE, "manifest-sha256.txt")
"""The lists that every group has over all of its bags."""

_MANIFEST: Final = re.compile(r"manifest-[a-z0-9]+\.txt")
_ROWS: Final = 4096
_COMPARED: Final = [name for name in ITEMS.names if name not in (DUPLICATE_OF, *COPIES)]
"""The columns that a bag's rows have too: only the list over all tells of duplicates."""

_SCHEMA: Final = pa.schema([ITEMS.field(name) for name in _COMPARED])


class GroupLists:
    """The comparison: call `compare` for each bag in the group's order, then `finish`. Memory does not grow.

    What is wrong is added to the findings of the bag or of the group; after it a list is not compared further.
    """

    def __init__(self, files: BagFiles, names: Iterable[str], items: Any) -> None:
        self._files, self.items, self._at = files, items, 0
        self._rows = None if items is None else _rows_of(items)
        self._lines = {name: _lines_of(files, name) for name in names if _is_of_lines(name)}
        self._wrong: set[str] = set()

    def compare(self, bag: BagFiles, folder: str) -> None:
        """Compare the lists of the next bag, whose files are in this folder. Raise Damaged."""
        for name in bag.tag_names():
            if _is_of_lines(name) and name not in self._lines:
                bag.findings.problems.add(name, "the group has no such list over all bags")
        for name, lines in self._lines.items():
            for line in () if name in self._wrong else _lines_of(bag, name):
                if next(lines, None) != _in_folder(name, line, folder):
                    bag.findings.problems.add(name, f"the group's {name} does not list the same")
                    self._wrong.add(name)
                    break
        self._compare_rows(bag, folder)

    def finish(self) -> None:
        """Report what the lists have beyond the bags: only what was not delivered is in no bag."""
        problems = self._files.findings.problems
        for name, lines in self._lines.items():
            if name not in self._wrong and next(lines, None) is not None:
                problems.add(name, "it lists files that no bag of the group has, or in another order")
        while (rows := self._take(_ROWS)) is not None and rows.num_rows:
            given = pc.or_(pc.equal(rows["outcome"], DELIVERED), pc.is_valid(rows["path"]))
            if pc.any(given).as_py():
                problems.add(NAME, "it lists delivered items that no bag of the group has")
                return

    def _compare_rows(self, bag: BagFiles, folder: str) -> None:
        entry = bag.entry(NAME)
        if self._rows is None or entry is None:
            return  # reported already
        try:
            with unpacked(bag, entry) as file:
                for batch in BoundedParquet(file, ITEMS, ITEMS_OPTIONAL).batches(_COMPARED, _ROWS):
                    expected = _as_listed(pa.Table.from_batches([batch], _SCHEMA), f"{folder}/")
                    found = self._take(expected.num_rows)
                    if found is None:
                        return
                    if not (found := _as_listed(found, "")).equals(expected):
                        pairs = enumerate(zip_longest(found.to_pylist(), expected.to_pylist()), self._at + 1)
                        row = next(row for row, (one, other) in pairs if one != other)
                        what = f"row {row:,} of the group's {NAME} is not the item that this bag has there"
                        bag.findings.problems.add(NAME, what)
                        self._rows = None
                        return
                    self._at += expected.num_rows
        except BadParquet:
            self._rows = None  # reported already

    def _take(self, count: int) -> pa.Table | None:
        """Return rows of the list over all; None if it is not compared further."""
        try:
            return None if self._rows is None else self._rows.take(count)
        except BadParquet:
            self._rows = None  # reported when it is counted
            return None


@contextmanager
def opened_lists(files: BagFiles, names: Iterable[str]) -> Iterator[GroupLists]:
    """Yield the comparison of the lists of these names."""
    with ExitStack() as held:
        entry = files.entry(NAME)
        items = None
        with suppress(Damaged):  # reported by the seal
            items = None if entry is None else held.enter_context(unpacked(files, entry))
        yield GroupLists(files, names, items)


def _rows_of(file: Any) -> RowStream:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from BoundedParquet(file, ITEMS, ITEMS_OPTIONAL).batches(_COMPARED, _ROWS)

    return RowStream(batches(), _SCHEMA)


def _as_listed(rows: pa.Table, folder: str) -> pa.Table:
    """Return rows with paths below a folder, without the words that say which item a duplicate repeats."""
    column = rows.schema.get_field_index
    paths = pc.binary_join_element_wise(folder, rows["path"], "")
    rows = rows.set_column(column("path"), "path", paths)
    repeats = pc.fill_null(pc.equal(rows["error_code"], DUPLICATE), False)
    words = pc.if_else(repeats, pa.scalar(None, pa.string()), rows["message"])
    return rows.set_column(column("message"), "message", words)


def _is_of_lines(name: str) -> bool:
    return name == METADATA or _MANIFEST.fullmatch(name) is not None


def _in_folder(name: str, line: str, folder: str) -> str:
    """Return the line that the list over all has for one of a bag."""
    if name != METADATA:
        digest, _, path = line.partition("  ")
        return f"{digest}  {folder}/{path}"
    begin = '{"path": "'
    inside = json.dumps(folder, ensure_ascii=False)[1:-1]
    return f"{begin}{inside}/{line.removeprefix(begin)}" if line.startswith(begin) else line


def _lines_of(files: BagFiles, name: str) -> Iterator[str]:
    """Yield the lines of a list, none if it is missing. Raise Damaged."""
    entry = files.entry(name)
    return iter(()) if entry is None else lines_in(files.chunks(entry), "utf-8")
