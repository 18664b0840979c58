"""The duplicates that are not delivered because another item is, as a list of items states them, by that item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.packages.building.duplicate_columns import DUPLICATE_OF
from prefect_collect.packages.building.duplicate_texts import rows_among, temporary_database
from prefect_collect.packages.building.spec import DUPLICATE

COPY_COLUMNS: Final = ("original_path", "custodian", "error_code", DUPLICATE_OF)
"""The columns of a list of items that `add` reads."""


class ListedCopies:
    """Their custodians and original paths, in the list's order; memory does not grow with them."""

    def __init__(self) -> None:
        self._database = temporary_database()
        self._database.execute("CREATE TABLE copy(original TEXT, custodian TEXT, path TEXT)")
        self._is_indexed = self._is_any = False

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Read some rows of the list, of which the batch has `COPY_COLUMNS`; call it for all before `of`."""
        named = pc.and_(pc.fill_null(pc.equal(batch["error_code"], DUPLICATE), False), pc.is_valid(batch[DUPLICATE_OF]))
        rows = batch.filter(named)
        if rows.num_rows:
            columns = (rows[name].to_pylist() for name in (DUPLICATE_OF, "custodian", "original_path"))
            self._database.executemany("INSERT INTO copy VALUES (?, ?, ?)", zip(*columns, strict=True))
            self._is_any = True

    def of(self, ids: Sequence[str]) -> dict[str, list[tuple[str | None, str | None]]]:
        """Return custodian and path of each duplicate of these items, by the item's id, if it has any."""
        found: dict[str, list[tuple[str | None, str | None]]] = {}
        if not self._is_any:
            return found
        if not self._is_indexed:
            self._database.execute("CREATE INDEX copies ON copy(original)")
            self._is_indexed = True
        query = "SELECT original, custodian, path FROM copy WHERE original IN"
        for original, custodian, path in rows_among(self._database, query, ids, "ORDER BY rowid"):
            found.setdefault(original, []).append((custodian, path))
        return found
