"""Compares EXCEPTIONS.csv with the exact list of items of its package: every cell whose value that list states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect_collect.escaping import csv_text
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.load_files.exceptions import EXCEPTION_COLUMNS
from prefect_collect.packages.load_files.lists import EXCEPTIONS, ITEMS
from prefect_collect.packages.load_files.reading import as_read
from prefect_collect.packages.load_files.tables import read_table
from prefect_collect.packages.load_files.values import file_name

_IDENTITY: Final = ("Control Number", "Outcome", "Exception Code", "Item ID")


class ExceptionsCheck:
    """The comparison, row by row; `count` is the number of items.

    Args:
        files: The files of the package.
        numbered: Whether it has control numbers.
        has_custodians: Whether its list of items states custodians; lists of earlier versions do not.
    """

    def __init__(self, files: BagFiles, *, numbered: bool, has_custodians: bool) -> None:
        columns = EXCEPTION_COLUMNS if numbered else EXCEPTION_COLUMNS[1:]
        self._problems, self._has_custodians = files.findings.problems, has_custodians
        self._at = {name: at for at, name in enumerate(columns)}
        self._rows = read_table(files, EXCEPTIONS, columns)
        self.count = 0

    def compare(self, item: Mapping[str, Any]) -> None:
        """Compare the next row with an item that is not delivered, of which the list says this, by its columns."""
        self.count += 1
        row, path, size = next(self._rows, None), item["original_path"] or "", item["size"]
        names = {file_name(path), file_name(path.rstrip("/"))}  # earlier versions gave "" for a path that ends in "/"
        expected = {
            "Control Number": item.get("control_number") or "",
            "Outcome": (item["outcome"] or "").replace("_", " "),
            "Exception Code": item["error_code"] or "",
            "Item ID": item["item_id"],
            "Original Path": path,
            "File Size": "" if size is None else str(size),
            "Reason": item["message"] or "",
            **({"Custodian": item["custodian"] or ""} if self._has_custodians else {}),
        }
        wrong = {
            name
            for name, at in self._at.items()
            if row is None or (name in expected and not is_written(row[at], expected[name]))
        }
        if row is not None and not any(is_written(row[self._at["File Name"]], name) for name in names):
            wrong.add("File Name")
        if not wrong.isdisjoint(_IDENTITY):
            self._problems.add(EXCEPTIONS, f"row {self.count:,} is not the exception that {ITEMS} has there")
            return
        for name in self._at:
            if name in wrong:
                self._problems.add(EXCEPTIONS, f"row {self.count:,} has another {name!r} than {ITEMS} states")

    def finish(self) -> None:
        """Report rows beyond the last exception."""
        if next(self._rows, None) is not None:
            self._problems.add(EXCEPTIONS, f"it has more than the {self.count:,} exceptions of {ITEMS}")


def is_written(cell: str, text: str) -> bool:
    """Return whether a cell of a CSV list of the package is that text, as it is written."""
    return csv_text(cell) == as_read(text, "csv", "utf-8")
