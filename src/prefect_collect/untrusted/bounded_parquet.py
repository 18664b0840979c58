"""Reads a Parquet file that others may have made, in memory and time that its real size bounds.

The sizes that a Parquet file states (rows, pages, bytes, encodings) are claims: kilobytes can announce gigabytes. So
each page's header is read before Arrow decodes the page, a dictionary is expanded only if the result is small, and no
number in the file decides how much memory is used.

    with store.open(key) as raw:
        for batch in BoundedParquet(raw, table_columns.MANIFEST).batches(["path", "size"]):
            ...

pyarrow alone trusts what a file states: 479 bytes make it use 800 to 950 MB, where this module refuses the file. A good
file costs 11 to 22 times pyarrow's CPU, 1.2 s for 1,000,000 rows (``python -m benchmarks.libraries``).

`pyarrow.compute`, which takes 9 MB and some 20 ms to import, is imported only for a file that needs it.

The format is that of https://parquet.apache.org/docs/file-format/ (parquet.thrift); page headers are read by
`prefect_collect.untrusted._parquet_pages`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect import pandas_later
from prefect_collect.untrusted._parquet_pages import BadPages, Chunk, Group, read_groups, read_pages
from prefect_collect.untrusted._parquet_times import have_dates

pandas_later.put_off()

MAX_GROUP: Final = 96 << 20
"""The most bytes of a row group's wanted columns, packed or unpacked, and of a batch of rows."""

_FREE_FOOTER: Final = 1 << 20
_FOOTER_SHARE: Final = 64
"""A footer may have 1 MiB and a 64th of the file: Arrow uses up to 190 bytes of memory for each of its bytes."""

_FREE_ROWS: Final = 1 << 16
_ROWS_PER_BYTE: Final = 16
_GROUP_ROWS: Final = 1 << 20
_FREE_BYTES: Final = 256 << 20
_BYTES_PER_BYTE: Final = 256
"""For each byte of a file: the most rows, and unpacked bytes of all that is read; no real list packs so well."""

_END: Final = 8
_MAGIC: Final = b"PAR1"
_TAIL: Final = 64 << 10
"""Bytes of a file's end that are fetched first and kept: as many as Arrow asks for first."""

_DAMAGE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError)


class BadParquet(ValueError):
    """The file is damaged, or claims more than it can hold; the message says which."""


class BoundedParquet:
    """A Parquet file with flat columns, read from a seekable file object.

    With `wanted`, the file must have exactly these columns (but may lack those in `optional`, which are then read as
    null). Every method raises BadParquet; errors of `raw`, such as those of a store, pass through.
    """

    def __init__(self, raw: Any, wanted: pa.Schema | None = None, optional: frozenset[str] = frozenset()) -> None:
        self._wanted = wanted
        with _damage():
            self._size = raw.seek(0, io.SEEK_END)
            self._window = _Window(raw, self._size)
            self._groups = read_groups(self._window.footer())
            self._file = pq.ParquetFile(self._window, page_checksum_verification=True)
            self._metadata = self._file.metadata
            self.schema: pa.Schema = self._file.schema_arrow
            """The file's columns, with its key-value metadata."""
            if wanted is not None:
                found = self.schema.remove_metadata()
                names = {*found.names, *(field.name for field in wanted if field.name not in optional)}
                if not found.equals(pa.schema([field for field in wanted if field.name in names])):
                    raise BadParquet("it has other columns than it should")
            self.num_rows: int = self._metadata.num_rows
            """The stated number of rows; `batches` yields exactly that many, or fails."""
            columns = [self._metadata.schema.column(at) for at in range(len(self._metadata.schema))]
            self._flat = {c.path for c in columns if c.max_repetition_level == 0 and c.max_definition_level <= 1}
            self.group_rows: list[int] = [group.rows for group in self._groups]
            """The stated number of rows of each row group."""
            if self.num_rows != sum(self.group_rows):
                raise BadParquet("it does not hold as many rows as it states")
            if (
                self.num_rows > _FREE_ROWS + _ROWS_PER_BYTE * self._size
                or max(self.group_rows, default=0) > _GROUP_ROWS
            ):
                raise BadParquet(f"it states that it holds {self.num_rows} rows, more than its size allows")
        self._unpacked = 0

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = 8192, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows, at most `rows` at a time, in the named columns (or all of them).

        With `groups`, only the rows of these row groups are read.
        """
        names = [*(columns if columns is not None else self._names())]
        present = [name for name in names if name in self.schema.names or self._wanted is None]
        wanted = range(len(self._groups)) if groups is None else groups
        left = sum(self.group_rows[group] for group in wanted)
        for group in wanted:
            batches = self._group(group, present, rows)
            while True:
                with _damage():
                    batch = next(batches, None)
                    if batch is not None:
                        left -= batch.num_rows
                        batch = self._completed(batch, names)
                if batch is None:
                    break
                yield batch
        if left:
            raise BadParquet("it does not hold as many rows as it states")

    def read(self) -> pa.Table:
        """Return all rows of a small file at once, with its key-value metadata."""
        schema = self.schema if self._wanted is None else self._wanted.with_metadata(self.schema.metadata)
        held, size = [], 0
        for batch in self.batches():
            size += batch.nbytes
            if size > 2 * MAX_GROUP:
                raise BadParquet(f"its rows take more than {2 * MAX_GROUP} bytes of memory")
            held.append(batch)
        return pa.Table.from_batches(held, schema.remove_metadata()).replace_schema_metadata(schema.metadata)

    def _names(self) -> list[str]:
        names: list[str] = (self.schema if self._wanted is None else self._wanted).names
        return names

    def _group(self, group: int, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        described = self._groups[group]
        if not described.rows:
            return
        chunks = _chunks(described, [*names], self._flat)
        if sum(chunk.packed for chunk in chunks) > MAX_GROUP:
            raise BadParquet(f"its columns have more than {MAX_GROUP} bytes in one group of rows")
        self._window.forget()
        spread = []
        unpacked = 0
        for chunk in chunks:
            pages = read_pages(self._window.take(chunk.start, chunk.packed), chunk, described.rows)
            unpacked += pages.unpacked
            self._unpacked += pages.unpacked
            if unpacked > MAX_GROUP or self._unpacked > _FREE_BYTES + _BYTES_PER_BYTE * self._size:
                raise BadParquet(f"its column {chunk.name} unpacks to more than its size allows")
            if chunk.is_text and pages.dictionary * rows > MAX_GROUP:
                spread.append(chunk.name)
        file = self._file
        if spread:
            file = pq.ParquetFile(
                self._window, metadata=self._metadata, read_dictionary=spread, page_checksum_verification=True
            )
        for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=names, use_threads=False):
            yield _plain(batch.select(names))

    def _completed(self, batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
        """Return the batch with the columns in the order asked for, proven to be readable by Python."""
        batch.validate(full=True)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if not have_dates(column):
                raise BadParquet(f"its column {name} holds a time outside of the years 1 to 9999")
        if batch.schema.names != names and self._wanted is not None:
            arrays = [
                batch[name] if name in batch.schema.names else pa.nulls(batch.num_rows, self._wanted.field(name).type)
                for name in names
            ]
            batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema([self._wanted.field(name) for name in names]))
        return batch


class _Window(io.RawIOBase):
    """The file as Arrow reads it: ranges that were fetched before are not fetched again."""

    def __init__(self, raw: Any, size: int) -> None:
        self._raw, self._size, self._at = raw, size, 0
        self._taken: list[tuple[int, bytes]] = []
        self._end: tuple[int, bytes] | None = None

    def footer(self) -> bytes:
        """Return the file's description of itself. Raise BadParquet if it is longer than the file's size allows."""
        if self._size < _END + len(_MAGIC):
            raise BadParquet("it is not a Parquet file")
        start = max(0, self._size - _TAIL)
        self._end = start, self._fetch(start, self._size - start)
        end = self._fetch(self._size - _END, _END)
        if end[4:] != _MAGIC:
            raise BadParquet("it is not a Parquet file, or was cut off")
        size = int.from_bytes(end[:4], "little")
        if size > self._size - _END - len(_MAGIC) or size > _FREE_FOOTER + self._size // _FOOTER_SHARE:
            raise BadParquet(f"it states that its description of itself has {size} bytes, more than its size allows")
        return self._fetch(self._size - _END - size, size)

    def forget(self) -> None:
        """Release the ranges that were kept."""
        self._taken.clear()

    def take(self, start: int, size: int) -> bytes:
        """Fetch a range and keep it."""
        if start < len(_MAGIC) or size < 0 or start + size > self._size - _END:
            raise BadParquet("it places a column outside of itself")
        data = self._fetch(start, size)
        if len(data) != size:
            raise BadParquet("it is cut off")
        self._taken.append((start, data))
        return data

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position; nothing is fetched yet."""
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the bytes from the position on."""
        size = max(0, self._size - self._at) if size is None or size < 0 else size
        data = self._fetch(self._at, size)
        self._at += len(data)
        return data

    def _fetch(self, start: int, size: int) -> bytes:
        for at, data in self._taken if self._end is None else (*self._taken, self._end):
            if at <= start and start + size <= at + len(data):
                return data[start - at : start - at + size]
        if size > MAX_GROUP:
            raise BadParquet(f"it states that a column has {size} bytes")
        self._raw.seek(start)
        found: bytes = self._raw.read(size)
        return found


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (BadParquet, BadPages) as error:
        raise BadParquet(str(error)) from error
    except _DAMAGE as error:
        lines = str(error).splitlines()
        raise BadParquet(lines[0][:300] if lines else type(error).__name__) from error


def _chunks(group: Group, names: list[str], flat: set[str]) -> list[Chunk]:
    """Return the places of the named columns in a row group. Raise BadParquet for a missing or nested column."""
    if missing := [name for name in names if name not in group.columns or name not in flat]:
        raise BadParquet(f"it has no column {missing[0]}, or a nested one")
    return [group.columns[name] for name in names]


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without dictionaries, if their values need no more memory than a batch may have."""
    if not any(pa.types.is_dictionary(field.type) for field in batch.schema):
        return batch
    import pyarrow.compute as pc

    arrays, size = [], 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column.validate(full=True)
            lengths = pc.binary_length(column.dictionary)
            size += pc.sum(pc.take(lengths, column.indices).cast(pa.int64())).as_py() or 0
            if size > MAX_GROUP:
                raise BadParquet(f"a few of its rows take more than {MAX_GROUP} bytes")
            column = column.dictionary_decode()
        arrays.append(column)
    fields = [pa.field(f.name, a.type, f.nullable) for f, a in zip(batch.schema, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
