"""INDEX.csv: every message that is delivered, where it is, and what its header says, for people and their programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from prefect_collect.formats.mail_set import MailSet
from prefect_collect.packages.building.tag_file import TagFile, hashed
from prefect_collect.packages.load_files.text import MARKS, RowWriter

INDEX: Final = "INDEX.csv"

COLUMNS: Final = (
    "File",
    "Offset",
    "Length",
    "Item ID",
    "Custodian",
    "Folder",
    "Date",
    "From",
    "To",
    "CC",
    "Subject",
    "Message-ID",
    "SHA256",
)
"""The columns of INDEX.csv."""

HEADER: Final = [pa.field(name, pa.string()) for name in ("date", "sender", "to", "cc", "subject", "message_id")]
"""What places state of a message beside its place."""


class MailIndex:
    """Writes INDEX.csv: CSV (RFC 4180) in UTF-8 with a byte order mark; no cell begins like a formula."""

    def __init__(self, folder: Path, options: MailSet) -> None:
        self._path, self._options = folder / INDEX, options
        self._file = open(self._path, "wb")  # noqa: SIM115
        self._rows = RowWriter("utf-8")
        self._file.write(MARKS["utf-8"] + self._rows.csv(COLUMNS, COLUMNS))

    def add(self, batch: pa.RecordBatch, places: pa.RecordBatch, given: Sequence[bool]) -> None:
        """Add the delivered rows of a batch of the manifest."""
        about = ("path", "offset", "length", *(field.name for field in HEADER))
        values = {name: places[name].to_pylist() for name in about}
        values |= {name: batch[name].to_pylist() for name in ("item_id", "custodian", "original_path", "size")}
        digests = batch["sha256"].to_pylist()
        rows: list[list[str]] = []
        for row in (row for row, one in enumerate(given) if one):
            size = values["size"][row] if values["length"][row] is None else values["length"][row]
            cells: list[Any] = [
                values["path"][row], values["offset"][row] or 0, size, values["item_id"][row],
                values["custodian"][row] or "", values["original_path"][row].rpartition("/")[0],
                *(values[field.name][row] or "" for field in HEADER), digests[row].hex(),
            ]  # fmt: skip
            rows.append(list(map(str, cells)))
        self._file.write(self._rows.rows("csv", [*zip(*rows, strict=True)], COLUMNS, [""] * len(rows)))

    def finish(self) -> tuple[list[TagFile], dict[str, Any]]:
        """Return the finished index, and what mail.json says more."""
        self._file.close()
        return [hashed(INDEX, self._path)], self._options.to_json()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
