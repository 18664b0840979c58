"""Takes the rows of a list that comes in batches, however long the batches are."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa


class RowStream:
    """Rows of a table that come in batches; errors of the batches pass through."""

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches, self._schema = iter(batches), schema
        self._rest: list[pa.RecordBatch] = []

    def take(self, count: int) -> pa.Table:
        """Return the next `count` rows, or fewer at the end."""
        taken: list[pa.RecordBatch] = []
        while count:
            batch = self._rest.pop() if self._rest else next(self._batches, None)
            if batch is None:
                break
            taken.append(batch[:count])
            if batch.num_rows > count:
                self._rest.append(batch[count:])
            count -= taken[-1].num_rows
        return pa.Table.from_batches(taken, self._schema)
