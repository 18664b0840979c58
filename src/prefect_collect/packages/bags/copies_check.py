"""Compares what a bag's list of items says of copies with the rows of the items and duplicates that it sums up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.problems import Problems, shown
from prefect_collect.packages.bags.tag_files import ITEMS, ITEMS_OPTIONAL
from prefect_collect.packages.building.duplicate_columns import COPIES, joined
from prefect_collect.packages.building.listed_copies import COPY_COLUMNS, ListedCopies
from prefect_collect.packages.building.spec import DELIVERED
from prefect_collect.untrusted.bounded_parquet import BoundedParquet

_ROWS: Final = 4096
_OWN: Final = dict(zip(COPIES, ("custodian", "original_path"), strict=True))
"""The column that each of `COPIES` sums up."""


def check_copies(file: Any, name: str, problems: Problems, pause: Callable[[], None] = lambda: None) -> None:
    """Compare custodians and paths of copies in the list `name`; `pause` is called again and again meanwhile.

    A delivered item has its own and those of the items that are not delivered because it is; another one has none. A
    list without the items' custodians cannot tell those of copies. Raise BadParquet.
    """
    listed = BoundedParquet(file, ITEMS, ITEMS_OPTIONAL)
    stated = [column for column in COPIES if {column, _OWN[column]} <= {*listed.schema.names}]
    if not stated:
        return
    with closing(ListedCopies()) as copies:
        for batch in listed.batches([*COPY_COLUMNS], _ROWS):
            pause()
            copies.add(batch)
        columns = ["item_id", "outcome", *_OWN.values(), *stated]
        for batch in BoundedParquet(file, ITEMS, ITEMS_OPTIONAL).batches(columns, _ROWS):
            pause()
            _compare(batch, stated, copies, name, problems)


def _compare(batch: pa.RecordBatch, stated: list[str], copies: ListedCopies, name: str, problems: Problems) -> None:
    ids, given = batch["item_id"].to_pylist(), pc.fill_null(pc.equal(batch["outcome"], DELIVERED), False)
    others = copies.of(ids)
    suspect = np.array([item_id in others for item_id in ids]) if others else np.zeros(len(ids), np.bool_)
    for column in stated:
        alone = pc.if_else(given, _text(batch[_OWN[column]]), "")
        suspect |= pc.not_equal(_text(batch[column]), alone).to_numpy(zero_copy_only=False)
    some = batch.take(pa.array(np.flatnonzero(suspect)))
    for row in some.to_pylist():
        every = [(row["custodian"], row["original_path"]), *others.get(row["item_id"], [])]
        for column, values in zip(COPIES, zip(*every, strict=True), strict=True):
            expected = joined(values) if row["outcome"] == DELIVERED else None
            if column in stated and (row[column] or "") != (expected or ""):
                what = f"the {column} of {shown(row['item_id'][:500])!r} are not those of it and of its duplicates"
                problems.add(name, what)


def _text(column: pa.Array) -> pa.Array:
    return pc.fill_null(column, "")
