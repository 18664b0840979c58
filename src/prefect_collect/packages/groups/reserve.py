"""The most bytes that items take in a bag of a group: their own, and those of their headers and rows in its lists."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.tar import BLOCK, RECORD
from prefect_collect.archive.zip64 import CENTRAL_SIZE, LOCAL_EXTRA_SIZE, LOCAL_SIZE
from prefect_collect.packages.building.spec import PackageSpec

COLUMNS: Final = ["size", "path", "original_path", "item_id", "source_etag", "custodian", "metadata"]
"""The columns of the manifest that the bytes follow from."""

_TEXTS: Final = ("path", "original_path", "item_id", "source_etag", "custodian")
_HEX: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_ZIP_ENTRY: Final = LOCAL_SIZE + LOCAL_EXTRA_SIZE + CENTRAL_SIZE + 28
"""Both headers of an entry without its names, at most."""

_ROW: Final = 420
"""What a row of items.csv and of items.parquet takes beside texts and further hashes: SHA-256, numbers and times."""

_ROW_GROUP: Final = 5_000
"""What a batch of rows adds to the directory of items.parquet, beside the texts that it names as least and greatest."""

_FILES: Final = 12
_BAG: Final = 8_000
"""The lists of a bag without items, at most, beside the lines that the user gave."""

_UNDELIVERED: Final = 700
"""What the list says of an item that is left out as a duplicate, beside its path and that of the other one."""


def bag_bytes(spec: PackageSpec) -> int:
    """Return the most bytes of a bag without items, as one file."""
    said = sum(len(f"{label}{value}".encode()) + 4 for label, value in (*spec.info.items(), *spec.bag.lines))
    base = len(spec.base.encode()) + 5
    if spec.bag.volumes == "zip":
        headers = _FILES * (_ZIP_ENTRY + 2 * (base + 30)) + 98
    else:
        extended = 0 if spec.base.isascii() and base <= 60 else 3 * BLOCK + base
        headers = _FILES * (2 * BLOCK + extended) + RECORD + 2 * BLOCK
    return _BAG + headers + 2 * said + len(spec.algorithms) * 1_000


def bytes_of(batch: pa.RecordBatch, spec: PackageSpec) -> list[int]:
    """Return the most bytes that each item of a batch takes in a bag."""
    texts = {name: _lengths(batch[name]) for name in _TEXTS}
    size, path = _whole(batch["size"]), texts["path"]
    if spec.portable:  # what not every system takes is escaped, and names that clash are marked
        path = 3 * path + 40
    name = len(spec.base.encode()) + 5 + len("/data/") + path
    if spec.bag.volumes == "zip":
        header = _ZIP_ENTRY + 2 * name
    else:
        is_plain = (_letters(batch["path"]) == texts["path"]) & spec.base.isascii() & (name <= 100) & (size < 8**11)
        header = 2 * BLOCK + ~is_plain * (3 * BLOCK + name)
    line = path + 10 + 2 * _count(batch["path"], "[%\r\n]")
    lists = sum(_HEX[algorithm] + line for algorithm in spec.algorithms)
    every = sum(texts.values()) + (path - texts["path"])
    rows = 2 * every + sum(_count(batch[one], '"') for one in _TEXTS) + _ROW
    rows += sum(2 * _HEX[algorithm] + 12 for algorithm in spec.hashes)
    rows += texts["custodian"] + 12  # a line of bag-info.txt
    metadata = _lengths(batch["metadata"])
    escaped = 5 * _count(batch["item_id"], r'[\x00-\x1f"\\]')  # as \u0001 in JSON
    stated = (metadata > 0) * (2 * metadata + path + texts["item_id"] + escaped + 60)
    own = size if spec.deduplicate is None else np.maximum(size, _UNDELIVERED + 4 * every)
    whole: list[int] = (own + header + lists + rows + stated).tolist()
    return whole


def group_bytes(batch: pa.RecordBatch) -> int:
    """Return the most bytes that a batch adds to the directory of items.parquet, in each bag that has some of it."""
    return _ROW_GROUP + sum(4 * int(_lengths(batch[name]).max(initial=0)) for name in _TEXTS)


def most_in(spec: PackageSpec, most_bytes: int) -> int:
    """Return how many bytes of headers, lists and items a bag of at most `most_bytes` has room for."""
    # What cannot be compressed gets larger by three bytes for each block of 128 KiB.
    return most_bytes - most_bytes // 4096 - 64 if spec.bag.volumes == "tar.zst" else most_bytes


def _lengths(column: pa.Array[Any]) -> npt.NDArray[np.int64]:
    return _whole(pc.binary_length(column))


def _letters(column: pa.Array[Any]) -> npt.NDArray[np.int64]:
    return _whole(pc.utf8_length(column))


def _count(column: pa.Array[Any], pattern: str) -> npt.NDArray[np.int64]:
    return _whole(pc.count_substring_regex(column, pattern))


def _whole(column: pa.Array[Any]) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return found
