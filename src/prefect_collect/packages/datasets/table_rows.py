"""The rows of a slice: how many there are, of which columns, and how they are written as CSV.

CSV is RFC 4180 in UTF-8, with a header and LF: texts are quoted, NULL is nothing between the commas, and an empty text
is ``""``, as PostgreSQL's COPY and DuckDB (``allow_quoted_nulls=false``) read them. Bytes are hexadecimal digits after
``\\\\x``, times are ISO 8601 (``Z`` if they are UTC). The file is for
databases, not for spreadsheets: no value is changed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
from isal import isal_zlib

from prefect_collect.errors import CorruptSegment
from prefect_collect.stores import Piece
from prefect_collect.untrusted.bounded_parquet import BadParquet, BoundedParquet

_ROWS: Final = 4096

Opener = Callable[[], AbstractContextManager[Any]]
"""Opens a slice as a seekable file."""


def columns_of(schema: pa.Schema) -> list[dict[str, str]]:
    """Return the columns of a slice: name, and Arrow's type."""
    return [{"name": field.name, "type": str(field.type)} for field in schema]


class KnownColumns:
    """The columns of slices, kept once for all slices that have the same: a table may have a hundred thousand."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], list[dict[str, str]]] = {}

    def of(self, schema: pa.Schema) -> list[dict[str, str]]:
        """Return `columns_of` of a slice, the same list for all slices with these columns."""
        found = columns_of(schema)
        return self._known.setdefault(tuple((one["name"], one["type"]) for one in found), found)


def csv_chunks(open_slice: Opener) -> Iterator[bytes]:
    """Yield a slice as CSV. Raise BadParquet, StoreError."""
    with open_slice() as raw:
        file = BoundedParquet(raw)
        schema = pa.schema([pa.field(field.name, _csv_type(field.type)) for field in file.schema])
        yield _csv(schema.empty_table(), header=True)
        for batch in file.batches(rows=_ROWS):
            columns = [_as_text(column) for column in batch.columns]
            yield _csv(pa.Table.from_arrays(columns, schema=schema), header=False)


def _csv_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_binary(kind) else kind


def _as_text(column: Any) -> Any:
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()], pa.string())
    return column


def _csv(table: pa.Table, *, header: bool) -> bytes:
    out = io.BytesIO()
    pa_csv.write_csv(table, out, pa_csv.WriteOptions(include_header=header))
    return out.getvalue()


def count_csv(chunks: Iterable[bytes | memoryview]) -> int:
    """Return the number of rows after the header, whatever the values hold."""
    lines, is_quoted = 0, False
    for chunk in chunks:
        for at, part in enumerate(bytes(chunk).split(b'"')):
            is_quoted = is_quoted ^ (at > 0)
            if not is_quoted:
                lines += part.count(b"\n")
    return lines - 1


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A slice as a CSV file, which is made again each time it is written: nothing of it is kept meanwhile."""

    name: str
    size: int
    crc32: int
    hashes: Mapping[str, str]
    _open: Opener

    @property
    def is_composed(self) -> bool:
        """Return False."""
        return False

    def pieces(self) -> Iterator[Piece]:
        """Yield the bytes. Raise CorruptSegment if the slice can no longer be read."""
        try:
            yield from csv_chunks(self._open)
        except BadParquet as error:
            raise CorruptSegment(f"A slice was altered after it was checked: {error} [{self.name}]") from error

    @classmethod
    def of(cls, name: str, open_slice: Opener) -> CsvFile:
        """Return the file. Raise BadParquet, StoreError."""
        size, crc32, sha256 = 0, 0, hashlib.sha256()
        for chunk in csv_chunks(open_slice):
            size += len(chunk)
            crc32 = isal_zlib.crc32(chunk, crc32)
            sha256.update(chunk)
        return cls(name, size, crc32, {"sha256": sha256.hexdigest()}, open_slice)
