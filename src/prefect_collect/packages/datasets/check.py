"""Checks a dataset: beside its files and items, that its tables have the rows and columns that dataset.json states."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.contents.index import Entry
from prefect_collect.packages.datasets.format import DATASET
from prefect_collect.packages.datasets.table_rows import columns_of, count_csv
from prefect_collect.packages.file_sets.check import SetCheck, is_count
from prefect_collect.packages.file_sets.items import ItemsCheck, ListedItem
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

_NAME: Final = DATASET.description
_FOOTER: Final = 2 << 20
"""Bytes of a file's end that are kept, beside a 64th of the file: `BoundedParquet` reads no longer footer."""


class DatasetCheck(SetCheck):
    """The check of one dataset; call `run` once."""

    description: ClassVar[str] = _NAME

    def items_check(self, said: Mapping[str, Any]) -> ItemsCheck:
        """Return the check of the tables. Raise Damaged."""
        return _Tables(self.files, said)


class _Tables(ItemsCheck):
    def __init__(self, files: BagFiles, said: Mapping[str, Any]) -> None:
        super().__init__(files, DATASET.payload)
        if said.get("rows") not in ("parquet", "csv") or not is_count(said.get("row_count")):
            raise Damaged("it does not state its rows as it should")
        self._is_csv, self._stated = said["rows"] == "csv", said["row_count"]
        self._slices: dict[str, tuple[dict[str, Any], Any]] = {}
        self._schemas: set[str] = set()
        tables = said.get("tables")
        for table in tables if isinstance(tables, list) else [None]:
            self._read(table)
        self._rows = 0

    def _read(self, table: Any) -> None:
        if not isinstance(table, dict) or not isinstance(table.get("slices"), list):
            raise Damaged("it does not state its tables as it should")
        rows = 0
        for one in table["slices"]:
            if not isinstance(one, dict) or not is_count(one.get("row_count")) or not isinstance(one.get("path"), str):
                raise Damaged("it does not state the slices of a table as it should")
            if one["path"] in self._slices:
                raise Damaged("it states a slice twice")
            self._slices[one["path"]] = one, one.get("columns", table.get("columns"))
            rows += one["row_count"]
        if rows != table.get("row_count"):
            self.problems.add(_NAME, f"the slices of {table.get('name')!s:.200} do not add up to its rows")
        if table.get("schema"):
            self._schemas.add(str(table["schema"]))

    def is_item(self, path: str, offset: int | None) -> bool:
        """Return whether the item's file is the item: not a CSV file, which is made of it."""
        return path in self._schemas or not self._is_csv

    def add(self, item: ListedItem) -> None:
        """Count the rows of a slice."""
        if item.path in self._schemas:
            self._schemas.discard(item.path)
            return
        found, columns = self._slices.pop(item.path, (None, None))
        if found is None:
            self.problems.add(item.path, f"{_NAME} does not state it")
            return
        self._rows += found["row_count"]
        entry = self.files.entry(item.path)
        if entry is None:
            return
        try:
            rows = self._counted(entry, item, found, columns)
        except Damaged:
            return  # reported when it was hashed
        if rows != found["row_count"]:
            self.problems.add(item.path, f"it has {rows:,} rows, but {_NAME} states {found['row_count']:,}")

    def _counted(self, entry: Entry, item: ListedItem, found: Mapping[str, Any], columns: Any) -> int:
        """Return the rows of a slice, and compare its columns and hash. Raise Damaged."""
        digest = self.files.index.digests(0, [item.number]).get(item.number, b"").hex()
        if (found.get("sha256"), found.get("bytes")) != (digest, entry.size):
            self.problems.add(item.path, f"{_NAME} states another hash or size of it than it has")
        if self._is_csv:
            return count_csv(self.files.chunks(entry))
        try:
            file = BoundedParquet(_End(self.files, entry))
        except BadParquet as error:
            self.problems.add(item.path, f"it cannot be read as Parquet: {error}")
            raise Damaged(str(error)) from error
        if columns_of(file.schema) != columns:
            self.problems.add(item.path, f"it has other columns than {_NAME} states")
        return file.num_rows

    def finish(self) -> None:
        """Report slices and schemas that no item is."""
        for path in (*self._slices, *self._schemas):
            self.problems.add(path, f"{_NAME} states it, but no delivered item is it")
        if self._rows != self._stated:
            self.problems.add(_NAME, f"it states {self._stated:,} rows in all, but its slices have {self._rows:,}")


class _End(io.RawIOBase):
    """A file of the package of which only the end can be read, where Parquet keeps its description of itself."""

    def __init__(self, files: BagFiles, entry: Entry) -> None:
        super().__init__()
        kept = _FOOTER + entry.size // 64
        self._size, self._at, self._end = entry.size, 0, bytearray()
        for chunk in files.chunks(entry):
            self._end += chunk
            if len(self._end) > 2 * kept:
                del self._end[:-kept]
        self._start = self._size - len(self._end)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        if self._at < self._start:
            raise BadParquet("it describes itself in more bytes than its size allows")
        start = self._at - self._start
        data = bytes(self._end[start : None if size is None or size < 0 else start + size])
        self._at += len(data)
        return data
