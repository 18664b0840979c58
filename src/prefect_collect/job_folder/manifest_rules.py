"""The rules by which the rows of a manifest are written, checked when the rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.item_paths import MAX_PART, UNUSUAL, is_path_of
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.grown_array import GrownArray

Batches = Callable[[list[str]], Iterator[pa.RecordBatch]]
"""Yields the named columns of a table, from its start, in the same batches at each call.

An example is ``lambda columns: parquet.read_batches(store, key, columns)``.
"""

_NUMBERS: Final = ["size", "crc32", "entry_offset", "offset", "stored_size"]
_PLACED: Final = [*_NUMBERS, "sha256", "segment", "deflated"]
CHECKED: Final = ["item_id", "path", "original_path", *_PLACED]
"""The columns of `table_columns.MANIFEST` that `row_faults` reads."""

_MOST: Final = 1 << 62

NOWHERE: Final = "the manifest does not give its place in a segment"
_NO_SEGMENT: Final = "the manifest names a segment that cannot be one of the collection's"
_NO_PATH: Final = "the manifest gives it a path that it cannot have"
_TWICE: Final = "the manifest lists it twice"


def manifest_faults(manifest: Batches) -> dict[int, str]:
    """Return what is wrong with rows of a manifest, by row number: such items can be neither read nor delivered."""
    faults: dict[int, str] = {}
    hashes = GrownArray(np.int64)
    start = 0
    for batch in manifest(CHECKED):
        for row, what in row_faults(batch):
            faults.setdefault(start + row, what)
        ids = batch["item_id"].to_pylist()
        hashes.add(np.fromiter(map(hash, ids), np.int64, len(ids)))
        start += len(ids)
    for row in _repeated(manifest, hashes.array()):
        faults.setdefault(row, _TWICE)
    return faults


def row_faults(batch: pa.RecordBatch) -> list[tuple[int, str]]:
    """Return what is wrong with rows of a batch that has a manifest's columns: the row in the batch, and the fault."""
    found: list[tuple[int, str]] = []
    lacking = [pc.is_null(batch[name]) for name in _PLACED if batch[name].null_count]
    lacking += [
        pc.or_(pc.less(batch[name], 0), pc.greater(batch[name], _MOST)).fill_null(False) for name in _NUMBERS[2:]
    ]
    lacking += [
        pc.less(batch["size"], 0).fill_null(False),
        pc.greater_equal(batch["entry_offset"], batch["offset"]).fill_null(False),
        pc.and_(pc.invert(batch["deflated"]), pc.not_equal(batch["size"], batch["stored_size"])).fill_null(False),
    ]
    for mask in lacking:
        if mask.true_count:
            found += [(row, NOWHERE) for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()]
    bad = [name for name in pc.unique(batch["segment"]).to_pylist() if name and not store_keys.is_segment_name(name)]
    if bad:
        mask = pc.is_in(batch["segment"], pa.array(bad, pa.string()))
        found += [(row, _NO_SEGMENT) for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()]
    found += [(row, _NO_PATH) for row in bad_paths(batch)]
    return found


def bad_paths(rows: pa.RecordBatch | pa.Table) -> Iterator[int]:
    """Yield the rows whose path is not the one that `item_paths.safe_path` gives the item."""
    path, original, ids = rows["path"], rows["original_path"], rows["item_id"]
    usual = pc.and_(pc.equal(path, original), pc.less_equal(pc.binary_length(path), MAX_PART))
    usual = pc.and_not(usual, pc.match_substring_regex(path, UNUSUAL)).fill_null(False)
    for row in np.flatnonzero(~usual.to_numpy(zero_copy_only=False)).tolist():
        if not is_path_of(path[row].as_py(), original[row].as_py(), ids[row].as_py()):
            yield row


def _repeated(manifest: Batches, hashes: Any) -> list[int]:
    """Return the rows whose id an earlier row has, and sort the hashes of the ids.

    Python's string hash has 64 bits; ids with equal hashes are compared.
    """
    hashes.sort()
    suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(suspects):
        return []
    wanted, seen, rows, start = set(suspects.tolist()), set[str](), [], 0
    for batch in manifest(["item_id"]):
        ids = batch["item_id"].to_pylist()
        for row, item_id in enumerate(ids):
            if hash(item_id) in wanted:
                if item_id in seen:
                    rows.append(start + row)
                seen.add(item_id)
        start += len(ids)
    return rows
