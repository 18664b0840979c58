"""The ledger of an export: the outcome of each item of the manifest that it is bound to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.exporting.bound_collection import BoundCollection
from prefect_collect.job_folder import store_keys, table_columns
from prefect_collect.job_folder.folder import JobFolder, now
from prefect_collect.job_folder.ledger import ledger_bytes, ledger_table
from prefect_collect.job_folder.parquet import put_file
from prefect_collect.packages import DUPLICATE, Built, Checked, outcome_of


@dataclass
class ExportLedger:
    """The outcome of each item of the bound manifest; `left` means that parts of an unfinished package may remain."""

    bound: BoundCollection
    checked: Checked | None = None
    built: Built | None = None
    why: Failure | None = None
    left: bool = False

    def tables(self, folder: JobFolder, attempt: int) -> Iterator[pa.Table]:
        """Yield the ledger, part by part, and commit each part."""
        start = 0
        for part, batch in enumerate(self.bound.manifest(table_columns.MANIFEST.names)):
            table = self._table(batch, start)
            start += batch.num_rows
            key = store_keys.ledger_key(folder.job_id, attempt, part)
            # If a lost attempt is closed while its process still closes it itself, some parts may already exist.
            put_file(folder.store, key, BytesIO(ledger_bytes(table, ())), replace=True)
            yield table

    def _table(self, batch: pa.RecordBatch, start: int) -> pa.Table:
        failed, count, at = self._failed(batch, start), batch.num_rows, now()
        times = {row: at for row, (outcome, _) in failed.items() if outcome == "failed"}
        kept = [*table_columns.LISTED, *table_columns.HELD, table_columns.DESCRIBED]
        columns: dict[str, Any] = {field.name: batch[field.name] for field in kept}
        columns |= {
            "outcome": _spread({row: outcome for row, (outcome, _) in failed.items()}, count, "succeeded"),
            "error_code": _spread({row: why.code for row, (_, why) in failed.items()}, count),
            "message": _spread({row: why.message for row, (_, why) in failed.items()}, count),
            "http_status": [None] * count,
            "tries": [int(self.checked is not None)] * count,
            "first_failed_at": _spread(times, count),
            "last_failed_at": _spread(times, count),
        }
        return ledger_table(columns)

    def _failed(self, batch: pa.RecordBatch, start: int) -> dict[int, tuple[str, Failure]]:
        """Return outcome and reason of the batch's items that are not delivered, by their rows in it."""
        rows: Iterable[int] = range(batch.num_rows)
        if self.checked is not None and self.built is not None:
            refused = [row for row in rows if start + row in self.built.failed] if self.built.failed else []
            rows = sorted({*self.checked.bad_rows(start, batch.num_rows), *refused})
        found = {}
        for row in rows:
            failure = self._failure(start + row, batch["path"][row].as_py(), batch["segment"][row].as_py())
            if failure is not None:
                found[row] = failure
        return found

    def _failure(self, row: int, path: str, segment: str) -> tuple[str, Failure] | None:
        found = None if self.checked is None else self.checked.failure(row, path, segment)
        if found is not None and (found.code != DUPLICATE or self.built is not None):
            return outcome_of(found), found
        if self.built is None:
            return "not_attempted", self.why or Failure("package_error", "No item could be exported.")
        refused = self.built.failed.get(row)
        return None if refused is None else ("failed", refused)


def _spread(values: Mapping[int, Any], count: int, other: Any = None) -> list[Any]:
    """Return a column of `count` rows with these values in their rows, and `other` in the rest."""
    return [values.get(row, other) for row in range(count)] if values else [other] * count
