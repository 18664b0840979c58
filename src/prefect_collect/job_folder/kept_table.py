"""A table of a job that is walked again and again: a short one stays in memory, decoded, after its first walk.

An export walks its collection's manifest nine times, in other columns each time. Each walk copies the file, hashes it
and proves its pages, which takes longer than the work on 10,000 rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from prefect_collect.job_folder.manifest_rules import Batches

MOST_ROWS: Final = 32_768
MOST_BYTES: Final = 16 << 20
"""What a table may have to be kept."""


class KeptTable:
    """Yields the named columns of a table as `read` does, which is called once for all columns if the table is short.

    Args:
        read: Yields columns of the table.
        columns: The names of all columns.
        rows: The number of rows that the table is expected to have.
    """

    def __init__(self, read: Batches, columns: list[str], rows: int) -> None:
        self._read, self._columns = read, columns
        self._is_short = rows <= MOST_ROWS
        self._kept: list[pa.RecordBatch] | None = None

    def __call__(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches. Raise as `read` does."""
        if self._kept is None and self._is_short:
            self._keep()
        if self._kept is None:
            yield from self._read(columns)
        else:
            yield from (batch.select(columns) for batch in self._kept)

    def _keep(self) -> None:
        kept: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in self._read(self._columns):
            kept.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > MOST_ROWS or size > MOST_BYTES:
                self._is_short = False
                return
        self._kept = kept
