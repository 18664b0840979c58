"""The error report: every item that did not succeed, as Parquet (exact) and as CSV (for spreadsheets)."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.codes import CODES, Failure
from prefect_collect.escaping import csv_cell
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.account import Tally
from prefect_collect.job_folder.folder import JobFolder, JobRecord, now
from prefect_collect.job_folder.parquet import PartWriter, put_file
from prefect_collect.job_folder.table_columns import LISTED_FACTS


def error_rows(record: JobRecord, attempt: int, ledger: pa.Table) -> pa.Table:
    """Return the rows of an error report for the items of a ledger part that did not succeed."""
    rows = ledger.filter(pc.not_equal(ledger["outcome"], "succeeded"))
    codes, messages = rows["error_code"].to_pylist(), rows["message"].to_pylist()
    for row, code in enumerate(codes):
        if code not in CODES:  # written by another version, or planted by others who can write to the staging store
            codes[row], messages[row] = "unexpected_error", f"{code}: {messages[row]}" if code else messages[row]
    columns: dict[str, Any] = {
        "item_id": rows["item_id"],
        "path": rows["original_path"],
        "outcome": rows["outcome"],
        "message": messages,
        "tries": rows["tries"],
        "http_status": rows["http_status"],
        "size": rows["source_size"],
        "first_failed_at": rows["first_failed_at"],
        "last_failed_at": rows["last_failed_at"],
        **{name: rows[name] for name in ("custodian", *LISTED_FACTS)},
    }
    return _report_table(record, attempt, codes, columns)


def job_row(record: JobRecord, attempt: int, failure: Failure) -> pa.Table:
    """Return the row of an error report about the whole job: it has no item."""
    at = now()
    columns = {
        "item_id": [None], "path": [None], "outcome": ["failed"], "message": [failure.message], "tries": [None],
        "http_status": [failure.http_status], "size": [None], "first_failed_at": [at], "last_failed_at": [at],
        "custodian": [record.custodian or None], **{name: [None] for name in LISTED_FACTS},
    }  # fmt: skip
    return _report_table(record, attempt, [failure.code], columns)


def _report_table(record: JobRecord, attempt: int, codes: list[str], columns: dict[str, Any]) -> pa.Table:
    known = [CODES[code] for code in codes]
    columns |= {
        "job_id": [record.job_id] * len(codes),
        "job_kind": [str(record.kind)] * len(codes),
        "attempt": [attempt] * len(codes),
        "error_code": codes,
        "category": [str(code.category) for code in known],
        "suggested_action": [
            code.action_for(whole=item is None) for code, item in zip(known, _ids(columns), strict=True)
        ],
        "who_must_act": [str(code.who) for code in known],
        "retryable": [code.retryable for code in known],
    }
    arrays = []
    for name, type_ in ((field.name, field.type) for field in table_columns.ERRORS):
        column = columns[name]
        arrays.append(column.cast(type_) if isinstance(column, pa.ChunkedArray) else pa.array(column, type_))
    return pa.Table.from_arrays(arrays, schema=table_columns.ERRORS)


def _ids(columns: dict[str, Any]) -> list[str | None]:
    """Return the ids of the items; None of the job as a whole."""
    ids = columns["item_id"]
    found: list[str | None] = ids if isinstance(ids, list) else ids.to_pylist()
    return found


class ReportWriter:
    """Writes the Parquet and the CSV file of an attempt's error report; its memory does not grow with the rows."""

    def __init__(self, folder: JobFolder, attempt: int) -> None:
        self.folder, self.attempt = folder, attempt
        self.tally = Tally()
        self._parquet = PartWriter(table_columns.ERRORS)
        self._csv_file = tempfile.TemporaryFile()  # noqa: SIM115
        self._csv_text = io.TextIOWrapper(self._csv_file, encoding="utf-8-sig", errors="backslashreplace", newline="")
        self._csv = csv.writer(self._csv_text, lineterminator="\r\n")
        self._csv.writerow(table_columns.ERRORS.names)

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Append rows in the columns of `table_columns.ERRORS`."""
        for batch in batches:
            self._parquet.write([batch])
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                self._csv.writerow(_cells(row))
            for outcome, code, number in _tally(batch):
                self.tally.add(outcome, code, number)

    def close(self) -> None:
        """Put both files into the staging store. Raise StoreError."""
        store, job_id = self.folder.store, self.folder.job_id
        self._parquet.store(store, store_keys.report_key(job_id, self.attempt, "errors.parquet"), replace=True)
        self._csv_text.flush()
        self._csv_file.seek(0)
        put_file(store, store_keys.report_key(job_id, self.attempt, "errors.csv"), self._csv_file, replace=True)

    def __enter__(self) -> ReportWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.discard()
        self._csv_text.close()


def _cells(row: tuple[Any, ...]) -> Iterator[Any]:
    for value in row:
        if isinstance(value, str):
            yield csv_cell(value)
        elif hasattr(value, "isoformat"):
            yield value.isoformat()
        else:
            yield value


def _tally(batch: pa.RecordBatch) -> Iterator[tuple[str, str, int]]:
    """Yield how many items have each outcome and code; 0 for a code that only the job as a whole has."""
    grouped = pa.Table.from_batches([batch]).group_by(["outcome", "error_code"]).aggregate([("item_id", "count")])
    for row in grouped.to_pylist():
        yield row["outcome"], row["error_code"], row["item_id_count"]
