"""The two lists that account for every item: items.parquet, exactly, and EXCEPTIONS.csv, what is not delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect.codes import Failure
from prefect_collect.packages.building.spec import outcome_of
from prefect_collect.packages.load_files.exceptions import Exceptions

_GROUP_BYTES: Final = 32 << 20
"""Bytes of text in one row group of items.parquet: bounded readers refuse larger ones."""

_OF_MISSING: Final = (
    "item_id", "outcome", "original_path", "custodian", "error_code", "message", "source_modified", "source_etag",
)  # fmt: skip
"""The columns that `NOT_DELIVERED` has under the same names."""


class ItemLists:
    """Writes the two lists of a package; `schema` has the columns of items.parquet.

    A package without control numbers (not `numbered`) has none in EXCEPTIONS.csv.
    """

    def __init__(self, items: Path, exceptions: Path, schema: pa.Schema, *, numbered: bool = True) -> None:
        self._schema = schema
        self._items = pq.ParquetWriter(items, schema, compression="zstd", compression_level=1)
        self._exceptions = Exceptions(exceptions, numbered=numbered)

    def close(self) -> None:
        """Close both files."""
        self._exceptions.close()
        self._items.close()

    def write(self, columns: Mapping[str, Any]) -> None:
        """Add rows to items.parquet, by column."""
        arrays = [
            value if isinstance(value := columns[field.name], pa.Array) else pa.array(value, field.type)
            for field in self._schema
        ]
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        if table.num_rows:
            self._items.write_table(table, row_group_size=max(1, table.num_rows // (1 + table.nbytes // _GROUP_BYTES)))

    def add_refused(
        self, batch: pa.RecordBatch, why: Sequence[Failure | None], controls: Sequence[str] | None = None
    ) -> None:
        """Add the items of a batch of the manifest that have a failure to EXCEPTIONS.csv."""
        for row, failure in enumerate(why):
            if failure is not None:
                values = {name: batch[name][row].as_py() for name in ("custodian", "original_path", "item_id", "size")}
                modified, control = batch["source_modified"][row].as_py(), "" if controls is None else controls[row]
                self._exceptions.add(control, outcome_of(failure), failure.code, failure.message, modified, values)

    def add_missing(self, batch: pa.RecordBatch) -> None:
        """Add items that the collection did not collect to both lists."""
        nothing = [None] * batch.num_rows
        self.write(
            dict.fromkeys(self._schema.names, nothing)
            | {name: batch[name] for name in _OF_MISSING}
            | {"size": batch["source_size"]}
        )
        for values in batch.to_pylist():
            values["size"] = values.pop("source_size")
            code, message = values["error_code"] or "", values["message"] or ""
            self._exceptions.add("", values["outcome"], code, message, values["source_modified"], values)
