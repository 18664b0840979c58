"""Proves every byte of a segment: its items, their headers, and the ZIP directory that ends it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from prefect_collect.archive.zip64 import central_record_at, end_of_directory
from prefect_collect.errors import CorruptSegment, KeyMissing, StoreAccessDenied, StoreError
from prefect_collect.packages.building.reading import SegmentReader, header_and_chunks
from prefect_collect.packages.building.rows import Row, by_segment, read_rows
from prefect_collect.stores import Store


def segments_of(ledger: pa.Table) -> Iterator[tuple[str | None, list[Row]]]:
    """Yield the items of a ledger part that succeeded, by the name of their segment."""
    chosen = ledger.replace_schema_metadata(None).combine_chunks()
    for rows in read_rows(lambda columns: iter(chosen.select(columns).to_batches())):
        for group in by_segment(rows):
            yield group[0].segment, group


def check_segment(store: Store, key: str, base: str, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what is wrong with a segment that should hold exactly these items: path ("" for the whole) and problem.

    `base` is the folder that the segment was written with. Raise StoreUnavailable, StoreAccessDenied.
    """
    lost = [row for row in rows if not _is_placed(row)]
    if lost:
        return [(row.path, "the ledger does not give its place") for row in lost]
    try:
        reader = SegmentReader(store, key)
        size = store.stat(key).size
    except KeyMissing:
        return [("", f"it is missing, with {len(rows)} items")]
    except StoreError as error:
        if error.transient or isinstance(error, StoreAccessDenied):
            raise
        return [("", f"it cannot be read: {str(error).rpartition(' [')[0]}")]
    try:
        return _problems(reader, size, f"{base}/data/".encode(), rows)
    finally:
        reader.close()


def _problems(reader: SegmentReader, size: int, prefix: bytes, rows: Sequence[Row]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    central = bytearray()
    position = 0
    for row in rows:
        name = prefix + row.path.encode()
        zip64 = row.has_zip64(name)
        central += central_record_at(
            name, row.crc32, row.size, row.stored_size, row.entry_offset, row.stamp, row.deflated, zip64
        )
        if row.entry_offset != position:
            found.append((row.path, f"it begins at byte {row.entry_offset}, but what is before it ends at {position}"))
        position = row.end
        try:
            header, chunks = header_and_chunks(reader, row, size)
            if header != row.header(name, zip64):
                found.append((row.path, "its ZIP header is not the one that was written"))
            if (what := _content(chunks, row)) is not None:
                found.append((row.path, what))
        except CorruptSegment as error:
            found.append((row.path, str(error).rpartition(" [")[0]))
    end = bytes(central) + end_of_directory(len(rows), len(central), position)
    if size != position + len(end):
        found.append(("", f"it has {size} bytes, but should have {position + len(end)}"))
    elif not _ends_with(reader, position, end, size):
        found.append(("", "its ZIP directory is not the one that was written"))
    return found


def _content(chunks: Iterable[memoryview | bytes], row: Row) -> str | None:
    sha256, count = hashlib.sha256(), 0
    for chunk in chunks:
        sha256.update(chunk)
        count += len(chunk)
    if sha256.digest() != row.sha256:
        return "its bytes are not the collected ones (SHA-256 differs)"
    return None if count == row.size else f"it has {count} bytes, but should have {row.size}"


def _ends_with(reader: SegmentReader, position: int, end: bytes, size: int) -> bool:
    try:
        return all(
            reader.span(position + at, min(position + at + reader.window, size), size) == end[at : at + reader.window]
            for at in range(0, len(end), reader.window)
        )
    except CorruptSegment:
        return False


def _is_placed(row: Row) -> bool:
    """Return whether the manifest gives the item a place in a segment, and the place is possible."""
    places = (row.segment, row.entry_offset, row.offset, row.stored_size, row.size, row.sha256, row.crc32)
    return None not in places and 0 <= row.entry_offset < row.offset and row.stored_size >= 0 and row.size >= 0
