"""Reading and writing the Parquet files of a job, with every damage reported as CorruptPart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect import schemas
from prefect_collect.errors import CorruptPart
from prefect_collect.stores import Buffer, Store

_ROWS_PER_GROUP = 16_000
_COPY = 8 << 20
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)
_COLUMNS = {
    "inventory": schemas.INVENTORY,
    "ledger": schemas.LEDGER,
    "manifest": schemas.MANIFEST,
    "errors.parquet": schemas.ERRORS,
}


def part_bytes(table: pa.Table) -> Buffer:
    """The table as one small Parquet file: quick to write, as a job writes one per shard."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
        version="2.6",
    )
    return memoryview(sink.getvalue())


@contextmanager
def _mapped(store: Store, key: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise CorruptPart(
            f"A file of the job is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}. "
            f"Restore it from a backup. [{store.locate(key)}]"
        ) from error


def _opened(key: str, raw: Any) -> pq.ParquetFile:
    """The file, if its description of itself holds: damage in that is under no checksum."""
    file = pq.ParquetFile(raw, page_checksum_verification=True)
    wanted = _wanted(key)
    found = file.schema_arrow.remove_metadata()
    if wanted is not None and not found.equals(_as_of(wanted, found)):
        raise ValueError("it has other columns than it should")
    groups = range(file.metadata.num_row_groups)
    if file.metadata.num_rows != sum(file.metadata.row_group(group).num_rows for group in groups):
        raise ValueError("it does not hold as many rows as it says")
    return file


def read_part(store: Store, key: str) -> pa.Table:
    """One small file as a table, with its key-value metadata. Raises KeyMissing, CorruptPart."""
    data = store.read(key)
    with _mapped(store, key):
        return _completed(_opened(key, pa.BufferReader(data)).read(use_threads=False), _wanted(key))


def _wanted(key: str) -> pa.Schema | None:
    folder, _, name = key.partition("/")[2].partition("/")
    return _COLUMNS.get(name.rpartition("/")[2], _COLUMNS.get(folder))


def _as_of(wanted: pa.Schema, found: pa.Schema) -> pa.Schema:
    """The columns that a file should have: all, or those that there were when it was written."""
    return pa.schema([field for field in wanted if field.name in found.names or field.name not in schemas.ADDED])


def _completed(table: pa.Table, wanted: pa.Schema | None) -> pa.Table:
    if wanted is None or table.num_columns == len(wanted):
        return table
    for at, field in enumerate(wanted):
        if field.name not in table.column_names:
            table = table.add_column(at, field, pa.nulls(table.num_rows, field.type))
    return table


def read_schema(store: Store, key: str, *, metadata: bool = False) -> pa.Schema:
    """The columns of a file, with its key-value metadata if asked for. Raises KeyMissing, CorruptPart."""
    with store.open(key) as raw, _mapped(store, key):
        schema = _opened(key, raw).schema_arrow
        return schema if metadata else schema.remove_metadata()


def read_batches(
    store: Store, key: str, columns: list[str] | None = None, rows: int = 8192
) -> Iterator[pa.RecordBatch]:
    """The rows of a file of any size, at most `rows` at a time. Raises KeyMissing, CorruptPart."""
    with store.open(key) as raw:
        with _mapped(store, key):
            file = _opened(key, raw)
            left = file.metadata.num_rows
            batches = _by_group(file, columns, rows)
        while True:
            with _mapped(store, key):
                batch = next(batches, None)
                if batch is None and left:
                    raise ValueError("it does not hold as many rows as it says")
            if batch is None:
                return
            left -= batch.num_rows
            yield batch


def _by_group(file: pq.ParquetFile, columns: list[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    """The file's rows; one iteration over all row groups would keep the buffers of each, and grow with the file."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(batch_size=rows, columns=columns, row_groups=[group], use_threads=False)


class PartWriter:
    """Writes a Parquet file of any size with flat memory, through a temporary file, in groups of 16,000 rows."""

    def __init__(self, schema: pa.Schema, **options: Any) -> None:
        self.schema = schema
        self.rows = 0
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self._writer = pq.ParquetWriter(
            self.file, schema, compression="zstd", compression_level=1, write_page_checksum=True, **options
        )
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Append rows."""
        for batch in batches:
            if batch.num_rows:
                self._held.append(batch)
                self._held_rows += batch.num_rows
                self.rows += batch.num_rows
                if self._held_rows >= _ROWS_PER_GROUP:
                    self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, schema=self.schema).combine_chunks())
            self._held, self._held_rows = [], 0

    def store(self, store: Store, key: str, *, replace: bool = False) -> None:
        """Finish the file and put it into the store. Raises KeyExists unless `replace`, StoreError."""
        self.finish()
        put_file(store, key, self.file, replace=replace)

    def finish(self) -> None:
        """Write what is held back; the file can then be read from its start."""
        self._flush()
        self._writer.close()
        self.file.seek(0)

    def discard(self) -> None:
        """Give the temporary file back; nothing can be written or read any more."""
        with suppress(Exception):  # Arrow writes the end of the file, which nobody reads
            self._writer.close()
        self.file.close()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def put_file(store: Store, key: str, file: Any, *, replace: bool = False) -> None:
    """Copy an open file, from where it stands, into the store. Raises KeyExists unless `replace`, StoreError."""
    writer = store.writer(key, replace=replace)
    try:
        while data := file.read(_COPY):
            writer.write(data)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
