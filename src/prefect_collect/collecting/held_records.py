"""What jobs hold, as records of a fixed size, and whether what a source lists now is proven to be the same."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prefect_collect.errors import EvidenceError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.sources import Item
from prefect_collect.stores import Store

_COLUMNS: Final = [
    "item_id", "original_path", "source_size", "source_modified", "source_etag", "source_version", "sha256",
    "collected_at",
]  # fmt: skip
RECORD: Final = np.dtype(
    [
        ("size", "<i8"), ("modified", "<i8"), ("etag", "<u8"), ("version", "<u8"), ("collected", "<i8"),
        ("job", "<i4"), ("sha256", "u1", (32,)),
    ]
)  # fmt: skip
"""An item that a job holds: its listing, when it was collected, the number of the job, and its SHA-256."""

_NONE: Final = -(1 << 63)
_SETTLED: Final = 2_000_000
"""Microseconds between an item's modification and its collection below which its time proves nothing.

Clocks of file systems and servers tick, and a second change within one tick leaves the time unchanged.
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def held_records(store: Store, job: str, number: int) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """Yield the rows of a job's manifest, with the record of each.

    Args:
        store: The staging store.
        job: The job's id.
        number: What the records name the job by.

    Raises:
        EvidenceError: The custody log did not vouch for the manifest from the start.
        KeyMissing: The job was deleted.
        StoreError: The manifest cannot be read.
    """
    result = JobFolder(store, job).result()
    if result is None:
        return
    evidence = vouched(JobFolder(store, job), result.attempt, enter=False)
    if late := evidence.late(result.attempt):
        raise EvidenceError(f"{late} [job={job}]")
    for batch in evidence.batches(store_keys.manifest_key(job, result.attempt), _COLUMNS):
        records = np.zeros(batch.num_rows, RECORD)
        for name, values in _attributes(batch).items():
            records[name] = values
        records["collected"] = _numbers(batch["collected_at"])
        records["job"] = number
        joined = b"".join(batch["sha256"].to_pylist())
        records["sha256"] = np.frombuffer(joined, np.uint8).reshape(-1, 32)
        yield batch, records


class Records:
    """The records in a file, by number; what was read of them stays in the system's cache, not in the process."""

    def __init__(self, file: Any) -> None:
        self._count = os.fstat(file.fileno()).st_size // RECORD.itemsize
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._count else None

    def of(self, rows: npt.NDArray[np.int64]) -> Any:
        """Return the records of these rows."""
        if self._map is None:
            return np.empty(0, RECORD)
        found = np.frombuffer(self._map, RECORD, self._count)[rows]
        self._map.madvise(mmap.MADV_DONTNEED)
        return found


def listed_item(record: Any, id_: str, path: str, etag: str | None, version: str | None) -> Item:
    """Return an item as it was listed when the job collected it."""
    size, modified = int(record["size"]), int(record["modified"])
    when = None if modified == _NONE else _EPOCH + timedelta(microseconds=modified)
    return Item(id_, path, None if size == _NONE else size, when, etag, version)


def _attributes(rows: pa.RecordBatch | pa.Table) -> dict[str, npt.NDArray[Any]]:
    return {
        "size": _numbers(rows["source_size"]),
        "modified": _numbers(rows["source_modified"]),
        "etag": _hashes(rows["source_etag"].to_pylist()),
        "version": _hashes(rows["source_version"].to_pylist()),
    }


def _numbers(column: Any) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).fill_null(_NONE).to_numpy(zero_copy_only=False)
    return values


def _hashes(texts: Iterable[str | None]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of each text's hash; 0 for none."""
    return np.fromiter((_hash(text) for text in texts), np.uint64)


def _hash(text: str | None) -> int:
    if text is None:
        return 0
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1


def is_same(listed: pa.Table, held: Any) -> npt.NDArray[np.bool_]:
    """Return whether the listing proves that the item is the held one: nothing differs, and enough is known."""
    differs = np.zeros(listed.num_rows, bool)
    both: dict[str, npt.NDArray[np.bool_]] = {}
    for name, now in _attributes(listed).items():
        none = 0 if name in ("etag", "version") else _NONE
        both[name] = (now != none) & (held[name] != none)
        differs |= both[name] & (now != held[name])
    settled = both["modified"] & (held["modified"] < held["collected"] - _SETTLED)
    enough = both["etag"] | both["version"] | (both["size"] & settled)
    is_current = listed["is_current"].to_numpy()
    same: npt.NDArray[np.bool_] = ~differs & enough & is_current
    return same
