"""Compares the last manifest of a job with its ledger, row by row."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from prefect_collect.archive.problems import Problems
from prefect_collect.errors import EvidenceError, KeyMissing
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.id_sets import UniqueIds
from prefect_collect.job_folder.parquet import read_batches

_COMPARED: Final = [name for name in table_columns.MANIFEST.names if name != "attempt"]


class ManifestCheck:
    """The rows of the last manifest, compared with the ledger's as those are read: both have the same order."""

    def __init__(self, folder: JobFolder, attempt: int, problems: Problems) -> None:
        self._name = store_keys.manifest_key("", attempt)[1:]
        self._problems = problems
        self._batches = read_batches(folder.store, f"{folder.job_id}/{self._name}", _COMPARED)
        self._rest: pa.Table | None = None
        self._ended = False
        self.is_whole = False
        """Whether all rows equal the ledger's; known after `finish`."""

    def follow(self, rows: list[pa.RecordBatch] | None) -> None:
        """Compare the next rows; None means that they are not known, which ends the comparison."""
        if rows is None:
            self._ended = True
        if self._ended or not rows:
            return
        expected = pa.Table.from_batches(rows).select(_COMPARED)
        try:
            found = self._take(expected.num_rows)
        except (KeyMissing, EvidenceError):
            self._ended = True  # reported by the check of the files
            return
        if found.num_rows == expected.num_rows and found.equals(expected):
            return
        self._ended = True
        for row, (path, wanted) in enumerate(zip(expected["path"].to_pylist(), expected.to_pylist(), strict=True)):
            if row >= found.num_rows or found.slice(row, 1).to_pylist() != [wanted]:
                self._problems.add(self._name, f"its row of {path} differs from the ledger's")
                return

    def finish(self) -> None:
        """End the comparison: report a row that follows, if there is one."""
        if self._ended:
            return
        try:
            more = self._take(1)
        except (KeyMissing, EvidenceError):
            return
        self.is_whole = not more.num_rows
        if more.num_rows:
            path = more["path"][0].as_py()
            self._problems.add(self._name, f"it holds {path}, which did not succeed by the ledger")

    def _take(self, count: int) -> pa.Table:
        held = [self._rest] if self._rest is not None else []
        rows = sum(table.num_rows for table in held)
        while rows < count and (batch := next(self._batches, None)) is not None:
            held.append(pa.Table.from_batches([batch]))
            rows += batch.num_rows
        if not held:
            return pa.table({name: [] for name in _COMPARED})
        table = pa.concat_tables(held)
        self._rest = table.slice(count)
        return table.slice(0, count)


def check_unique(folder: JobFolder, attempt: int, problems: Problems, *, is_unique: bool) -> None:
    """Find ids that occur twice in an attempt's manifest and error report. Raise StoreError.

    With `is_unique`, no id is twice in the manifest, which is then read only if the report names an item.
    """
    ids = UniqueIds()
    manifest = store_keys.manifest_key(folder.job_id, attempt)
    report = store_keys.report_key(folder.job_id, attempt, "errors.parquet")
    if is_unique and not _names_items(folder, report):
        return
    for key in (manifest, report):
        try:
            for batch in read_batches(folder.store, key, ["item_id"]):
                found = batch["item_id"].drop_null().to_pylist()
                for row in ids.add(found):
                    what = f"it holds {found[row]}, which manifest or error report already hold"
                    problems.add(key.partition("/")[2], what)
        except (KeyMissing, EvidenceError):
            continue  # reported by the check of the files


def _names_items(folder: JobFolder, report: str) -> bool:
    """Return whether an error report has rows of items, or cannot be read."""
    try:
        batches = read_batches(folder.store, report, ["item_id"])
        return any(batch["item_id"].null_count < batch.num_rows for batch in batches)
    except (KeyMissing, EvidenceError):
        return True
