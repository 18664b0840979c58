"""What item lists say of duplicates: which item a row repeats, and whose copies a delivered one stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from prefect_collect.packages.building.duplicates import Duplicates

DUPLICATE_OF: Final = "duplicate_of"
COPIES: Final = ("all_custodians", "all_paths")
"""The columns that a package has if it holds items with the same bytes once."""

LONGEST: Final = 32_000
"""The most characters of a list of custodians or paths: a cell of a spreadsheet takes 32,767."""


def duplicate_columns(
    duplicates: Duplicates | None, start: int, batch: pa.RecordBatch, delivered: Sequence[bool]
) -> dict[str, list[str | None]]:
    """Return the columns of a batch of the manifest (its custodians and original paths), which begins at row `start`.

    ``duplicate_of`` is the id of the item that a row repeats, or ``job/id`` of one of an earlier job. The others have
    the custodians and original paths of a delivered item and of those that are not delivered because it is.
    """
    count = batch.num_rows
    columns: dict[str, list[str | None]] = {
        DUPLICATE_OF: [None] * count if duplicates is None else duplicates.marks(start, count)
    }
    for column, name in zip(COPIES, ("custodian", "original_path"), strict=True):
        own: list[str | None] = batch[name].to_pylist()
        columns[column] = [one if given else None for one, given in zip(own, delivered, strict=True)]
    for row, copies in () if duplicates is None else duplicates.copies(start, count).items():
        if delivered[row - start]:
            columns["all_custodians"][row - start] = joined(one.custodian for one in copies)
            columns["all_paths"][row - start] = joined(one.path for one in copies)
    return columns


def joined(values: Iterable[str | None]) -> str | None:
    """Return the different values with "; " between them, cut after `LONGEST` characters; None if there are none."""
    different = [*dict.fromkeys(value for value in values if value)]
    size, kept = 0, 0
    for value in different:
        size += len(value) + 2
        if kept and size > LONGEST:
            break
        kept += 1
    more = [f"… and {len(different) - kept:,} more"] if kept < len(different) else []
    return "; ".join([*different[:kept], *more]) or None
