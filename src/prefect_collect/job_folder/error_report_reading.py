"""Reads error reports that users give back in order to retry just their items, even after a spreadsheet saved them.

A report is Parquet, or CSV with any of the usual separators (comma, semicolon, tab, bar) in UTF-8, UTF-16 with a byte
order mark, or Windows-1252; the content decides, not the file's name. Only the column `item_id` is needed; `job_id`,
`outcome`, `path` and `error_code` are used if they exist. A row is used only if its id is, character for character,
that of an item in the job's own reports: an id that a spreadsheet has rewritten is refused, not guessed.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from prefect_collect.errors import StoreError, UsageError
from prefect_collect.escaping import csv_text
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import IdSet
from prefect_collect.job_folder.ledger_rules import is_settled
from prefect_collect.job_folder.selections import is_selection, read_selection
from prefect_collect.sources import Item
from prefect_collect.stores import open_store
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

MAX_BYTES: Final = 2 << 30
"""Bytes of the largest report that is read: ten million rows."""

_USED: Final = ("item_id", "job_id", "outcome", "path", "error_code")
_SEPARATORS: Final = ",;\t|"
_NAMED: Final = 3
_SHOWN: Final = 60
_BATCH: Final = 2_000
_HOW: Final = (
    "Give the report as `prefect-collect report JOB --to FILE` writes it, or save it from the spreadsheet as CSV in "
    "UTF-8, with all columns imported as text"
)
_FOREIGN: Final = {
    b"PK\x03\x04": "a workbook (.xlsx, .ods) or another ZIP file",
    b"\xd0\xcf\x11\xe0": "an old workbook (.xls)",
    b"\x1f\x8b": "compressed with gzip",
    b"%PDF": "a PDF",
    b"{\\rtf": "a rich text document",
}
_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a report: its place in words, the texts of the cells that are used, and the id's cell as it was read."""

    place: str
    item_id: str
    cell: str
    job_id: str
    outcome: str
    path: str
    code: str


class _NotAReport(ValueError):
    """Raised if the file is not a report; the message says what it is."""


def reported_items(location: str, folder: JobFolder | None = None) -> list[Item]:
    """Return the items of an error report for a retry; those that no retry works on are left out.

    The report is a path, an ``s3://`` URL, or what `save_selection` returned, for which the job's `folder` is needed.
    With the folder, every row is compared with the reports of the job's attempts.

    Raises:
        UsageError: The file cannot be read, is not a report, or names items of another job.
        StoreError: The job's own reports cannot be read.
        EvidenceError: The custody log does not vouch for the job's own reports.
    """
    data = read_selection(folder, location) if folder is not None and is_selection(location) else _read(location)
    try:
        rows = [row for row in _rows(data) if row.item_id and not is_settled(row.outcome, row.code)]
    except (_NotAReport, BadParquet, csv.Error) as error:
        raise UsageError(f"The file cannot be read as an error report: {error}. {_HOW}. [{location}]") from error
    if folder is not None:
        rows = _required_of(folder, rows, location)
    return [Item(row.item_id, row.path) for row in rows]


def _read(location: str) -> bytes:
    folder, slash, name = location.rstrip("/").rpartition("/")
    try:
        store = open_store(folder or slash or ".")
        if store.stat(name).size > MAX_BYTES:
            raise UsageError(f"The file is larger than the largest report that can be read (2 GiB). [{location}]")
        return store.read(name)
    except StoreError as error:
        raise UsageError(f"The error report cannot be read: {error}") from error


def _rows(data: bytes) -> Iterator[_Row]:
    for mark, what in _FOREIGN.items():
        if data.startswith(mark):
            raise _NotAReport(f"it is {what}")
    return _parquet_rows(data) if data.startswith(b"PAR1") else _csv_rows(data)


def _parquet_rows(data: bytes) -> Iterator[_Row]:
    file = BoundedParquet(io.BytesIO(data))
    present = [name for name in _USED if name in file.schema.names]
    if "item_id" not in present:
        raise _NotAReport(f"it is Parquet without a column item_id; it has {_list(file.schema.names)}")
    number = 0
    for batch in file.batches(present):
        for cells in batch.to_pylist():
            number += 1
            yield _row(f"row {number}", cells, str)


def _csv_rows(data: bytes) -> Iterator[_Row]:
    text = _decoded(data)
    if "\0" in text.partition("\n")[0]:  # in the first line only: the name of an item may hold a NUL
        raise _NotAReport("it is not text: it holds NUL characters")
    # Excel's own first line, which states the separator.
    skipped = text[:4].lower() == "sep="
    lines = io.StringIO(text.partition("\n")[2] if skipped else text, newline="")
    first = next((line for line in lines if line.strip()), "")
    separator = next((one for one in _SEPARATORS if "item_id" in _header(first, one)), None)
    if separator is None:
        raise _NotAReport(f"its first line has no column item_id; it is {first.strip()[:_SHOWN]!r}")
    header = _header(first, separator)
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        if not any(cells):
            continue
        place = f"line {reader.line_num + 1 + skipped}"
        if len(cells) != len(header):
            raise _NotAReport(f"{place} has {len(cells)} cells, but the first line has {len(header)}")
        yield _row(place, dict(zip(header, cells, strict=True)), csv_text)


def _row(place: str, cells: dict[str, Any], meant: Callable[[str], str]) -> _Row:
    """Return the row; `meant` returns the text that the cell stands for."""
    cell, job_id, outcome, path, code = (str(cells.get(name) or "") for name in _USED)
    return _Row(place, meant(cell), cell, job_id, outcome, meant(path), code)


def _header(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            try:
                return data.removeprefix(mark).decode(encoding)
            except UnicodeDecodeError as error:
                raise _NotAReport(f"its byte order mark states {encoding.upper()}, but its bytes are not") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # If this guess is wrong, the ids do not match those of the job, and the rows are refused.
        return data.decode("cp1252", "replace")


def _required_of(folder: JobFolder, rows: list[_Row], location: str) -> list[_Row]:
    """Return the rows with the ids as the job has them. Raise UsageError unless all are the job's."""
    strange = [row for row in rows if row.job_id and row.job_id != folder.job_id]
    if strange:
        raise UsageError(
            f"The report belongs to another job: {strange[0].place} is of job {strange[0].job_id[:_SHOWN]}"
            f"{_more(strange)}. Give the job's own report. [job={folder.job_id}, report={location}]"
        )
    known = _reported(folder)
    found, unknown = list[_Row](), list[_Row]()
    for batch in _batches(rows):
        meant = known.contains([row.item_id for row in batch])
        literal = known.contains([row.cell for row in batch])
        for row, is_meant, is_literal in zip(batch, meant, literal, strict=True):
            if is_meant:
                found.append(row)
            elif is_literal:  # a program removed the mark that keeps a spreadsheet from running a formula
                found.append(replace(row, item_id=row.cell))
            else:
                unknown.append(row)
    if unknown:
        named = ", ".join(f"{row.place} ({row.cell[:_SHOWN]!r})" for row in unknown[:_NAMED])
        raise UsageError(
            f"{len(unknown):,} of {len(rows):,} rows name no item of this job's error reports: {named}"
            f"{', …' if len(unknown) > _NAMED else ''}. Spreadsheets rewrite numbers, dates and leading zeros, and "
            f"letters if the encoding differs. {_HOW}. [job={folder.job_id}, report={location}]"
        )
    return found


def _more(rows: list[_Row]) -> str:
    return f", and {len(rows) - 1:,} more rows are" if len(rows) > 1 else ""


def _reported(folder: JobFolder) -> IdSet:
    """Return the ids of all items in the error reports of the job's attempts."""
    known, closed = IdSet(), folder.closed_attempts()
    if not closed:
        return known
    evidence = vouched(folder, closed[-1], enter=False)
    for attempt in closed:
        for batch in evidence.batches(store_keys.report_key(folder.job_id, attempt, "errors.parquet"), ["item_id"]):
            known.add(batch["item_id"].drop_null().to_pylist())
    return known


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:_SHOWN] for name in names[:10])
    return f"{shown}, …" if len(names) > 10 else shown or "none"
