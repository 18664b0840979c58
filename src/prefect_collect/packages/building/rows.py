"""The rows of a manifest as the builders need them: columns as lists, in the order of the segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, starmap
from operator import attrgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.archive.zip64 import EARLIEST, LOCAL_EXTRA_SIZE, LOCAL_SIZE, local_header_at
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.names import Names
from prefect_collect.packages.building.text_columns import binary_values
from prefect_collect.stores import BegunFile, CopyRange

COLUMNS = [
    "path",
    "source_modified",
    "size",
    "sha256",
    "crc32",
    "segment",
    "entry_offset",
    "offset",
    "stored_size",
    "deflated",
]
"""The columns of `table_columns.MANIFEST` that are read to find and describe items."""

_PART: Final = 32 << 20

_FEW: Final = 32 << 10
"""Rows that are kept: to make one again takes 0.7 µs."""


@dataclass(slots=True)
class Row:
    """One item: its number in the manifest, its path in the package's payload, and its place in its segment."""

    number: int
    path: str
    stamp: int
    size: int
    sha256: bytes
    crc32: int
    segment: str
    entry_offset: int
    offset: int
    stored_size: int
    deflated: bool

    @property
    def end(self) -> int:
        """The offset in the segment after its last byte."""
        return self.offset + self.stored_size

    def placed(self, path: str, number: int | None = None) -> Row:
        """Return the same item at another path, and with another number if one is given."""
        return Row(
            self.number if number is None else number, path, self.stamp, self.size, self.sha256, self.crc32,
            self.segment, self.entry_offset, self.offset, self.stored_size, self.deflated,
        )  # fmt: skip

    def has_zip64(self, name: bytes) -> bool:
        """Return whether the header in the segment has ZIP64 sizes, judged by its length."""
        return self.offset - self.entry_offset == LOCAL_SIZE + len(name) + LOCAL_EXTRA_SIZE

    def header(self, name: bytes, zip64: bool) -> bytes:
        """Return the local header that the item has, or must get, under that name."""
        return local_header_at(name, self.crc32, self.size, self.stored_size, self.stamp, self.deflated, zip64)


class KeptRows:
    """The rows of a manifest in its batches, for a second look at them; none if they are more than a few.

    No data class, and no list: Prefect looks into those that a task run is given, at each row.
    """

    def __init__(self) -> None:
        self.batches: list[list[Row]] = []
        self._count = 0

    def add(self, rows: list[Row]) -> None:
        """Keep the rows of the next batch."""
        self._count += len(rows)
        self.batches.append(rows)
        if self._count > _FEW:
            self.batches.clear()


def read_rows(manifest: Batches, names: Names | None = None, first: int = 0) -> Iterator[list[Row]]:
    """Yield the manifest's items in batches, each ordered by segment and offset; `path` is the one in the package.

    `first` is the number of the first item, if the batches are a part of the manifest.
    """
    start = first
    for batch in manifest(COLUMNS):
        columns: dict[str, list[Any]] = {
            name: batch.column(name).to_pylist() for name in COLUMNS if name not in ("source_modified", "sha256")
        }
        columns["source_modified"] = dos_times(batch.column("source_modified")).tolist()
        columns["sha256"] = binary_values(batch.column("sha256"))
        numbers = range(start, start + batch.num_rows)
        rows = [*starmap(Row, zip(numbers, *(columns[name] for name in COLUMNS), strict=True))]
        start += batch.num_rows
        if names is not None and not names.all_kept:
            for row in rows:
                row.path = names.path(row.number, row.path)
        if not _is_in_order(batch):
            rows.sort(key=_place)
        yield rows


def by_segment(rows: list[Row]) -> Iterator[list[Row]]:
    """Yield the rows of each segment."""
    if rows and rows[0].segment == rows[-1].segment and len({row.segment for row in rows}) == 1:
        yield rows
        return
    for _, group in groupby(rows, attrgetter("segment")):
        yield list(group)


def parts_of(rows: list[Row]) -> Iterator[list[Row]]:
    """Yield the rows of a segment in parts of about 32 MiB, so that several threads have some of it."""
    part: list[Row] = []
    size = 0
    for row in rows:
        part.append(row)
        size += row.stored_size or 0
        if size >= _PART:
            yield part
            part, size = [], 0
    if part:
        yield part


def copy_ahead(begun: BegunFile, job_id: str, rows: list[Row]) -> None:
    """Have the items of one segment copied with their headers to a file that was begun."""
    key = segment_key(job_id, rows[0].segment)
    start, end = rows[0].entry_offset, rows[0].entry_offset
    for row in rows:
        if row.entry_offset != end:
            begun.add(CopyRange(key, start, end))
            start = row.entry_offset
        end = row.end
    begun.add(CopyRange(key, start, end))


def misfits(rows: list[Row], prefix: int) -> Iterator[int]:
    """Yield the numbers of the rows whose local header has another length than it must have, with ZIP64 or without.

    `prefix` is the number of bytes before each path in the header's name.
    """
    for row in rows:
        path = row.path
        name = prefix + (len(path) if path.isascii() else len(path.encode()))
        if row.offset - row.entry_offset - LOCAL_SIZE - name not in (0, LOCAL_EXTRA_SIZE):
            yield row.number


def _is_in_order(batch: pa.RecordBatch) -> bool:
    """Return whether the rows are in the order of the segments' names and offsets, as shards usually write them."""
    segment, offset = batch.column("segment"), batch.column("entry_offset")
    if segment.null_count or offset.null_count:
        return False
    follows = np.diff(offset.to_numpy()) > 0
    if len(pc.unique(segment)) > 1:
        before, after = segment[:-1], segment[1:]
        later, same = (pc.greater(after, before), pc.equal(after, before))
        follows = later.to_numpy(zero_copy_only=False) | (follows & same.to_numpy(zero_copy_only=False))
    return bool(np.all(follows))


def _place(row: Row) -> tuple[str, int]:
    return row.segment or "", row.entry_offset or 0


def dos_times(times: pa.Array[Any]) -> npt.NDArray[np.int64]:
    """Return `zip64.dos_time` of a column of microsecond timestamps."""
    micros = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    at = micros.view("M8[us]")
    days, months = at.astype("M8[D]"), at.astype("M8[M]")
    years = months.astype("M8[Y]").astype(np.int64) - 10
    seconds = micros // 1_000_000 % 86_400
    date = (years << 9) | ((months.astype(np.int64) % 12 + 1) << 5) | ((days - months).astype(np.int64) + 1)
    time = (seconds // 3600 << 11) | (seconds // 60 % 60 << 5) | (seconds % 60 >> 1)
    stamps: npt.NDArray[np.int64] = np.where(years < 0, EARLIEST, (date << 16) | time)
    latest = (127 << 25) | (12 << 21) | (31 << 16) | (23 << 11) | (59 << 5) | 29
    return np.where(years > 127, latest, stamps)
