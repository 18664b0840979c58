"""Segments: the ZIP files in which a shard stages its items.

An entry is named ``<folder>/data/<path>``, where `folder` is the base folder of the package that may be made of it, so
that an export can copy whole ranges of a segment, local headers included.

    segment = SegmentWriter(store.writer(segment_key(job_id, segment_name(attempt, part))), folder)
    entry = segment.append(path, data, crc32, modified)      # small items, whole
    blob = segment.close()

An item with its own segment is streamed instead: `begin`, `write` for each chunk, `end`. Nothing can be undone: if an
item fails while it is streamed, the segment is aborted.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prefect_collect.archive.zip64 import LIMIT, central_record_at, dos_time, end_of_directory, local_header_at
from prefect_collect.errors import SourceError

if TYPE_CHECKING:
    from prefect_collect.stores import Blob, BlobWriter, Buffer

_SURE: Final = 1 << 30
"""Bytes up to which an announced size is trusted to stay under 4 GiB, so that the header needs no ZIP64 sizes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The place of an item in its segment: the offsets of its local header and its first stored byte, and its form."""

    entry_offset: int
    offset: int
    stored_size: int
    deflated: bool


@dataclass(slots=True)
class _Streamed:
    name: bytes
    stamp: int
    zip64: bool
    header: int


class SegmentWriter:
    """Writes one segment, which appears complete at `close`, or not at all.

    An item's `modified` must be the time in its manifest row's `source_modified`, because an export derives the entry's
    header from the row. Errors are those of the store's writer.
    """

    def __init__(self, writer: BlobWriter, folder: str) -> None:
        self._writer = writer
        self._write = writer.write
        self._prefix = f"{folder}/data/".encode()
        self._central = bytearray()
        self._streamed: _Streamed | None = None
        self.position = 0
        """Bytes written so far."""
        self.entries = 0
        """Entries written so far."""

    def append(self, path: str, data: Buffer, crc32: int, modified: datetime | None, deflate: bool = False) -> Entry:
        """Write a whole item, with the CRC-32 of its bytes; deflate it only if asked and if that makes it smaller."""
        if self._streamed is not None:
            raise ValueError("an item is being streamed into this segment; end() it first")
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        deflated = False
        stored = size
        if deflate and size:
            packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            smaller = packer.compress(data) + packer.flush()
            if len(smaller) < size:
                data, stored, deflated = smaller, len(smaller), True
        name = self._prefix + path.encode()
        stamp = dos_time(modified)
        at = self.position
        header = local_header_at(name, crc32, size, stored, stamp, deflated)
        self._write(header)
        if stored:
            self._write(data)
        offset = at + len(header)
        self.position = offset + stored
        self.entries += 1
        self._central += central_record_at(name, crc32, size, stored, at, stamp, deflated, size >= LIMIT)
        return Entry(at, offset, stored, deflated)

    def begin(self, path: str, size_hint: int | None, modified: datetime | None) -> int:
        """Start a streamed item, only as the first of a segment (its header is patched later); return its `offset`."""
        if self.position:
            raise ValueError("only the first entry of a segment can be streamed")
        name = self._prefix + path.encode()
        zip64 = size_hint is None or size_hint > _SURE
        stamp = dos_time(modified)
        header = local_header_at(name, 0, 0, 0, stamp, False, zip64)
        self._streamed = _Streamed(name, stamp, zip64, len(header))
        self._write(header)
        self.position = len(header)
        return self.position

    def write(self, chunk: Buffer) -> None:
        """Append bytes of the streamed item."""
        self._write(chunk)
        self.position += len(chunk) if type(chunk) is bytes else memoryview(chunk).nbytes

    def end(self, crc32: int, size: int) -> Entry:
        """Finish the streamed item of `size` bytes.

        Raise SourceError (``changed_during_read``) if an item announced as small grew over 4 GiB.
        """
        item = self._streamed
        if item is None:
            raise ValueError("no item is being streamed into this segment")
        if size != self.position - item.header:
            raise ValueError(f"the item has {self.position - item.header} bytes in the segment, not {size}")
        if size >= LIMIT and not item.zip64:
            name = item.name.decode()
            raise SourceError(
                f"The item grew over 4 GiB while it was read; retry when nothing writes to it. [item={name}]",
                code="changed_during_read",
            )
        self._writer.patch(0, local_header_at(item.name, crc32, size, size, item.stamp, False, item.zip64))
        self._central += central_record_at(item.name, crc32, size, size, 0, item.stamp, False, item.zip64)
        self._streamed = None
        self.entries += 1
        return Entry(0, item.header, size, False)

    def close(self) -> Blob:
        """Write the central directory and commit the segment."""
        if self._streamed is not None:
            raise ValueError("an item is being streamed into this segment; end() it first")
        self._write(bytes(self._central) + end_of_directory(self.entries, len(self._central), self.position))
        return self._writer.commit()

    def abort(self) -> None:
        """Discard the segment; does nothing after `close`."""
        self._writer.abort()
