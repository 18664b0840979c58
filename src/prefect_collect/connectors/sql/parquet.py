"""Rows as Parquet: the same rows give the same bytes, with the same version of Arrow."""

from __future__ import annotations

import io
from binascii import unhexlify
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from prefect_collect.connectors.sql.session import Block
from prefect_collect.connectors.sql.tables import Column, Shape
from prefect_collect.errors import SourceError

_COMPRESSION: Final = "zstd"


class Encoder:
    """Makes a Parquet file of blocks of CSV, with a row group for each block."""

    def __init__(self, shape: Shape, place: str) -> None:
        self._columns, self._place = shape.columns, place
        self._schema = pa.schema(
            [pa.field(n, c.type) for n, c in zip(names_of(shape.columns), shape.columns, strict=True)]
        )
        self._out = _Out()
        self._writer = pq.ParquetWriter(self._out, self._schema, compression=_COMPRESSION)

    def add(self, block: Block) -> Iterator[bytes]:
        """Add rows; yield the bytes of the file that are finished. Raise SourceError."""
        rows, data = block
        table = self._table(data)
        if table.num_rows != rows:
            raise SourceError(
                f"The database sent {rows:,} rows, of which {table.num_rows:,} could be parsed. [{self._place}]",
                code="read_error",
            )
        self._writer.write_table(table, row_group_size=max(1, rows))
        yield from self._out.taken()

    def end(self) -> Iterator[bytes]:
        """End the file; yield its last bytes."""
        self._writer.close()
        yield from self._out.taken()

    def _table(self, data: bytes) -> Any:
        labels = [f"c{number}" for number in range(len(self._columns))]
        types = {
            label: pa.string() if column.is_hex or pa.types.is_decimal256(column.type) else column.type
            for label, column in zip(labels, self._columns, strict=True)
        }
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(data),
                # In one piece: a value may be longer than any block.
                pa_csv.ReadOptions(column_names=labels, use_threads=False, block_size=len(data) + 1),
                pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                pa_csv.ConvertOptions(
                    column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
                    true_values=["t"], false_values=["f"],
                ),
            )  # fmt: skip
            columns = [
                _unhexed(table.column(number)) if column.is_hex else table.column(number).cast(column.type)
                for number, column in enumerate(self._columns)
            ]
            return pa.Table.from_arrays(columns, schema=self._schema)
        except (pa.ArrowException, ValueError) as error:
            what = f"A value does not have the type of its column: {error}"
            raise SourceError(f"{what} [{self._place}]", code="read_error") from error


def _unhexed(column: Any) -> Any:
    """Return a column of bytes from their hexadecimal digits, which follow ``\\\\x``."""
    values = [None if text is None else unhexlify(text[2:]) for text in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.binary())])


def names_of(columns: tuple[Column, ...]) -> list[str]:
    """Return the names of columns in the file, each of which is there once: ``id``, ``id (2)``."""
    seen: dict[str, int] = {}
    names = []
    for column in columns:
        seen[column.name] = number = seen.get(column.name, 0) + 1
        names.append(column.name if number == 1 else f"{column.name} ({number})")
    return names


class _Out(io.RawIOBase):
    """The bytes that Parquet's writer has written and that were not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Keep bytes."""
        self._held.append(bytes(data))
        self._at += len(self._held[-1])
        return len(self._held[-1])

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._at

    def taken(self) -> list[bytes]:
        """Return what was written, once."""
        held, self._held = self._held, []
        return [b"".join(held)] if held else []
