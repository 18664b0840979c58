"""The duplicates that a folder gets because the item that was to stand for them could not be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.names import Names
from prefect_collect.packages.building.rows import Row, read_rows

_TURNS: Final = 8
"""How often one item is tried in place of another; after that, all that are left are delivered."""


def released_rows(
    checked: Checked, manifest: Batches, failed: Callable[[], Iterable[int]], names: Names | None = None
) -> Iterator[list[Row]]:
    """Yield the rows to deliver in place of originals that could not be written, until none is left.

    `failed` returns the rows that could not be written so far, these ones included.
    """
    for turn in range(_TURNS + 1):
        rows = checked.release(failed(), every=turn == _TURNS)
        if not rows:
            return
        for batch in read_rows(manifest, names):
            if some := [row for row in batch if row.number in rows]:
                yield some
