"""Read and write the Parquet files of a job; damage is raised as CorruptPart."""

from __future__ import annotations

import hashlib
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect import freed_memory, pandas_later
from prefect_collect.errors import CorruptPart
from prefect_collect.job_folder import table_columns
from prefect_collect.stores import Buffer, Store
from prefect_collect.untrusted.bounded_json import changed
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

pandas_later.put_off()

_ROWS_PER_GROUP = 16_000
_BYTES_PER_GROUP = 32 << 20
_ROWS_AT_ONCE = 256
"""Rows added to a page at a time. A page ends at 1 MiB; with the longest paths it stays under 20 MiB."""

_COPY = 8 << 20
_HELD = 4 << 20
"""Bytes up to which a copy stays in memory; after a walk of a larger one, freed memory is given back."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)
_COLUMNS = {
    "inventory": table_columns.INVENTORY,
    "ledger": table_columns.LEDGER,
    "manifest": table_columns.MANIFEST,
    "errors.parquet": table_columns.ERRORS,
    "numbers.parquet": table_columns.NUMBERS,
    "selections": table_columns.ERRORS,
}


def part_bytes(table: pa.Table) -> Buffer:
    """Return the table as one small Parquet file, written for speed: a job writes one per shard."""
    sink = pa.BufferOutputStream()
    with _writer(sink, table.schema) as writer:
        writer.write_table(table, row_group_size=_rows_per_group(table))
    return memoryview(sink.getvalue())


def _rows_per_group(table: pa.Table) -> int:
    """Return how many rows a row group may have for `BoundedParquet` to read it, from the length of the texts."""
    rows: int = table.num_rows // (1 + table.nbytes // _BYTES_PER_GROUP)
    return max(1, rows)


def _writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink, schema, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False,
        write_page_checksum=True, write_batch_size=_ROWS_AT_ONCE, version="2.6",
    )  # fmt: skip


@contextmanager
def _mapped(store: Store, key: str) -> Iterator[None]:
    try:
        yield
    except (BadParquet, *_DAMAGE) as error:
        raise CorruptPart(
            f"A file of the job is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}. "
            f"Restore it from a backup. [{store.locate(key)}]"
        ) from error


def _opened(store: Store, key: str, raw: Any) -> BoundedParquet:
    """Open the file, and check its footer, which no checksum covers. Raise CorruptPart."""
    with _mapped(store, key):
        wanted = _wanted(key)
        return BoundedParquet(raw, wanted, table_columns.added_to(wanted))


def read_part(store: Store, key: str) -> pa.Table:
    """Return one small file as a table, with its key-value metadata. Raise KeyMissing, CorruptPart."""
    with store.open(key) as raw:
        part = _opened(store, key, raw)
        with _mapped(store, key):
            return part.read()


def _wanted(key: str) -> pa.Schema:
    folder, _, name = key.partition("/")[2].partition("/")
    return _COLUMNS.get(name.rpartition("/")[2]) or _COLUMNS[folder]


@contextmanager
def _source(store: Store, key: str, sha256: str | None) -> Iterator[Any]:
    if sha256 is None:
        with store.open(key) as raw:
            yield raw
        return
    with tempfile.SpooledTemporaryFile(_HELD) as copy:
        size = copy_checked(store, key, sha256, copy)
        yield copy
    if size > _HELD:
        freed_memory.give_back()


def copy_checked(store: Store, key: str, sha256: str | None, to: Any) -> int:
    """Copy a file of any size into an open one, and return how many bytes it has.

    Raise KeyMissing, or CorruptPart if it has another SHA-256 (hex) than given; what was copied must not be used then.
    """
    digest, size = hashlib.sha256(), 0
    with store.open(key) as raw:
        while data := raw.read(_COPY):
            digest.update(data)
            to.write(data)
            size += len(data)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise CorruptPart(changed(store, key))
    return size


def read_schema(store: Store, key: str, *, metadata: bool = False, sha256: str | None = None) -> pa.Schema:
    """Return the columns of a file, with its key-value metadata if asked for.

    Raise KeyMissing, CorruptPart (also if `sha256` is given and the file has another).
    """
    with _source(store, key, sha256) as raw:
        schema = _opened(store, key, raw).schema
        return schema if metadata else schema.remove_metadata()


def read_batches(
    store: Store, key: str, columns: list[str] | None = None, rows: int = 8192, *, sha256: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of any size, at most `rows` at a time. Raise KeyMissing, CorruptPart.

    With `sha256` (hex), the file is first copied and its hash checked, so that others cannot change it between the
    check and the reading.
    """
    with _source(store, key, sha256) as raw:
        yield from _each(store, key, _opened(store, key, raw).batches(columns, rows))


def _each(store: Store, key: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        with _mapped(store, key):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


class CopiedTable:
    """A Parquet file of a job, read by row numbers from an open copy; `key` is the file's own. Raise CorruptPart."""

    def __init__(self, store: Store, key: str, raw: Any) -> None:
        self._store, self._key = store, key
        self._file = _opened(store, key, raw)
        self.num_rows = self._file.num_rows

    def batches(self, columns: list[str], rows: int = _ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
        """Yield all rows, at most `rows` at a time."""
        return _each(self._store, self._key, self._file.batches(columns, rows))

    def take(self, rows: Sequence[int], columns: list[str] | None = None) -> pa.Table:
        """Return the rows of these ascending numbers; only the row groups that hold them are read."""
        starts = [0, *accumulate(self._file.group_rows)]
        by_group: dict[int, list[int]] = {}
        for row in rows:
            if not 0 <= row < self.num_rows:
                raise IndexError(row)
            by_group.setdefault(bisect_right(starts, row) - 1, []).append(row)
        found = []
        for group, numbers in by_group.items():
            start = starts[group]
            for batch in _each(self._store, self._key, self._file.batches(columns, _ROWS_PER_GROUP, [group])):
                inside = [row - start for row in numbers if start <= row < start + batch.num_rows]
                found += [batch.take(pa.array(inside, pa.int64()))] if inside else []
                start += batch.num_rows
        fields = [_wanted(self._key).field(name) for name in columns] if columns is not None else _wanted(self._key)
        return pa.Table.from_batches(found, pa.schema(fields))


class PartWriter:
    """Writes a Parquet file of any size in constant memory, through a temporary file, in groups of 16,000 rows."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self._writer = _writer(self.file, schema)
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Append rows."""
        for batch in batches:
            if batch.num_rows:
                self._held.append(batch)
                self._held_rows += batch.num_rows
                self._held_bytes += batch.nbytes
                self.rows += batch.num_rows
                if self._held_rows >= _ROWS_PER_GROUP or self._held_bytes >= _BYTES_PER_GROUP:
                    self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, schema=self.schema).combine_chunks()
            self._writer.write_table(table, row_group_size=_rows_per_group(table))
            self._held, self._held_rows, self._held_bytes = [], 0, 0

    def store(self, store: Store, key: str, *, replace: bool = False) -> None:
        """Finish the file and put it into the store. Raise KeyExists unless `replace`, StoreError."""
        self.finish()
        put_file(store, key, self.file, replace=replace)

    def finish(self) -> None:
        """Write the rows that are still in memory; the file can then be read from its start."""
        self._flush()
        self._writer.close()
        self.file.seek(0)

    def discard(self) -> None:
        """Remove the temporary file; nothing can be written or read after that."""
        with suppress(Exception):  # Arrow writes the end of the file, which is never read
            self._writer.close()
        self.file.close()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def put_file(store: Store, key: str, file: Any, *, replace: bool = False) -> None:
    """Copy an open file, from its current position, into the store. Raise KeyExists unless `replace`, StoreError."""
    writer = store.writer(key, replace=replace)
    try:
        while data := file.read(_COPY):
            writer.write(data)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
