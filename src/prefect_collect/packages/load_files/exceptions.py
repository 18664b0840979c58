"""EXCEPTIONS.csv: the found items that a load file does not have, in the columns of receivers.

Such a report names the document, its custodian and path, the kind of exception and what was or can be done:
https://www.meridiandiscovery.com/articles/exception-handling-and-reporting-in-e-discovery/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prefect_collect.codes import CODES
from prefect_collect.packages.load_files.text import MARKS, RowWriter
from prefect_collect.packages.load_files.values import file_name, time_text

EXCEPTION_COLUMNS: Final = (
    "Control Number",
    "Custodian",
    "File Name",
    "Original Path",
    "File Size",
    "Date Last Modified UTC",
    "Outcome",
    "Exception Code",
    "Exception Category",
    "Reason",
    "Suggested Action",
    "Item ID",
)
"""The columns of EXCEPTIONS.csv."""


class Exceptions:
    """Writes EXCEPTIONS.csv: CSV as the load file's, in UTF-8 with a byte order mark.

    A package without control numbers (not `numbered`) has all columns but the first.
    """

    def __init__(self, path: Path, *, numbered: bool = True) -> None:
        self._file = open(path, "wb")  # noqa: SIM115
        self._rows, self._first = RowWriter("utf-8"), int(not numbered)
        self._columns = EXCEPTION_COLUMNS[self._first :]
        self._file.write(MARKS["utf-8"] + self._rows.csv(self._columns, self._columns))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(
        self,
        control: str,
        outcome: str,
        code: str,
        message: str,
        modified: datetime | None,
        values: Mapping[str, Any],
    ) -> None:
        """Add an item: `values` has its ``item_id``, ``original_path``, ``custodian`` and ``size``."""
        known = CODES.get(code)
        path, size = values["original_path"] or "", values["size"]
        row = (
            control, values["custodian"] or "", file_name(path.rstrip("/")), path, "" if size is None else str(size),
            time_text(modified, "utc"), outcome.replace("_", " "), code, str(known.category) if known else "", message,
            known.action if known else "", values["item_id"],
        )  # fmt: skip
        self._file.write(self._rows.csv(row[self._first :], self._columns))
