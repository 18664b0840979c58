"""The ledger of an export: what became of each item of the manifest that it is bound to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa

from prefect_collect import layout, schemas
from prefect_collect.binding import Bound
from prefect_collect.items import Failure
from prefect_collect.jobfolder import JobFolder, now
from prefect_collect.ledger import ledger_bytes, ledger_table
from prefect_collect.packages import Built, Checked
from prefect_collect.parts import put_file


@dataclass
class ExportLedger:
    """What became of each item of the bound manifest; `left`: a store may hold some of a package that is none."""

    bound: Bound
    checked: Checked | None = None
    built: Built | None = None
    why: Failure | None = None
    left: bool = False

    def tables(self, folder: JobFolder, attempt: int) -> Iterator[pa.Table]:
        """The ledger, part by part; each is committed on the way."""
        start = 0
        for part, batch in enumerate(self.bound.manifest(schemas.MANIFEST.names)):
            table = self._table(batch, start)
            start += batch.num_rows
            key = layout.ledger_key(folder.job_id, attempt, part)
            # Whoever closes a lost attempt may meet parts that its process wrote while it closed it itself.
            put_file(folder.store, key, BytesIO(ledger_bytes(table, ())), replace=True)
            yield table

    def _table(self, batch: pa.RecordBatch, start: int) -> pa.Table:
        paths, segments = batch["path"].to_pylist(), batch["segment"].to_pylist()
        failures = [self._failure(start + row, paths[row], segments[row]) for row in range(batch.num_rows)]
        at = now()
        columns: dict[str, Any] = {f.name: batch[f.name] for f in [*schemas.LISTED, *schemas.HELD]}
        columns |= {
            "outcome": ["succeeded" if outcome is None else outcome[0] for outcome in failures],
            "error_code": [outcome and outcome[1].code for outcome in failures],
            "message": [outcome and outcome[1].message for outcome in failures],
            "http_status": [None] * len(failures),
            "tries": [int(self.checked is not None)] * len(failures),
            "first_failed_at": [at if outcome and outcome[0] == "failed" else None for outcome in failures],
            "last_failed_at": [at if outcome and outcome[0] == "failed" else None for outcome in failures],
        }
        return ledger_table(columns)

    def _failure(self, row: int, path: str, segment: str) -> tuple[str, Failure] | None:
        if self.checked is not None and (found := self.checked.failure(row, path, segment)) is not None:
            return "failed", found
        if self.built is None:
            return "not_attempted", self.why or Failure("package_error", "No item could be exported.")
        refused = self.built.failed.get(row)
        return None if refused is None else ("failed", refused)
