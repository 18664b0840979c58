"""The parts of a package that is one ZIP file: ranges of segments, new headers, lists, and the directory at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Final

from prefect_collect.archive.zip64 import EARLIEST, central_record_at, end_of_directory, local_header_at
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.pieces import Deflated, Pieces
from prefect_collect.packages.building.rows import Row
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile
from prefect_collect.stores import CopyRange, Piece

_COPY: Final = 8 << 20


class ZipLayout:
    """The place of each part in the ZIP file; central records are written to a temporary file.

    All names are below the folder `base` of `spec`; `payload` is the part of it that items are in, "" or ending in "/".
    With `keeps_headers`, local headers of the segments are used where they can be.
    """

    compressed = has_deflated = False

    def __init__(
        self, spec: PackageSpec, checked: Checked, central: IO[bytes], payload: str = "", *, keeps_headers: bool = False
    ) -> None:
        self._base, self._payload, self._spec, self._checked = f"{spec.base}/", payload, spec, checked
        self._central, self._keeps_headers = central, keeps_headers
        self._pieces = Pieces()
        self._open: tuple[str, int, int] | None = None
        self._fresh = bytearray()
        self._tags: list[tuple[bytes, PackageFile | None]] = []
        self._position = 0
        self._entries = 0

    def add(self, rows: list[Row]) -> None:
        """Append payload files."""
        records = []
        folder, position = f"{self._base}{self._payload}", self._position
        keeps_all = self._keeps_headers and self._checked.keeps_all_headers
        for row in rows:
            name, stored, offset = f"{folder}{row.path}".encode(), row.stored_size, row.offset
            if keeps_all or (self._keeps_headers and self._checked.keeps_header(row.number)):
                zip64, start = row.has_zip64(name), row.entry_offset
                length = offset - start
            else:
                zip64, start = False, offset
                header = row.header(name, False)
                length = len(header)
                self._new(header)
            self._range(row.segment, start, offset + stored)
            records.append(
                central_record_at(name, row.crc32, row.size, stored, position, row.stamp, row.deflated, zip64)
            )
            position += length + stored
        self._position = position
        self._central.write(b"".join(records))
        self._entries += len(rows)

    def _new(self, data: bytes) -> None:
        self._end_range()
        self._fresh += data

    def _range(self, segment: str, start: int, end: int) -> None:
        if start == end:
            return
        if self._open is not None and self._open[0] == segment and self._open[2] == start:
            self._open = segment, self._open[1], end
            return
        self._end_range()
        self._end_fresh()
        self._open = segment, start, end

    def _end_range(self) -> None:
        if self._open is not None:
            segment, start, end = self._open
            known = self._checked.known.get(segment)
            key = segment_key(self._spec.job_id, segment)
            self._pieces.append(CopyRange(key, start, end, known.etag if known else ""))
            self._open = None

    def _end_fresh(self) -> None:
        if self._fresh:
            self._pieces.append(bytes(self._fresh))
            self._fresh.clear()

    def finish(self, files: Sequence[PackageFile]) -> int:
        """Append the tag files, after which nothing more can be added. Return the size of the ZIP file."""
        if self._payload and not self._entries:
            self._tags.append((self._entry(self._payload.encode(), 0, 0), None))
        self._tags += [(self._entry(file.name.encode(), file.crc32, file.size), file) for file in files]
        size = self._central.tell()
        self._end = end_of_directory(self._entries, size, self._position)
        return self._position + size + len(self._end)

    def first_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield the pieces of the payload, to which nothing is added after that."""
        self._end_range()
        self._end_fresh()
        yield from self._pieces

    def last_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield the tag files, and the directory at the end."""
        for header, file in self._tags:
            yield header
            if file is not None:
                yield from file.pieces()
        self._central.seek(0)
        while chunk := self._central.read(_COPY):
            yield chunk
        yield self._end

    def _entry(self, name: bytes, crc32: int, size: int) -> bytes:
        """Return the local header of a new entry, and keep its central record."""
        name = self._base.encode() + name
        header = local_header_at(name, crc32, size, size, EARLIEST)
        self._central.write(central_record_at(name, crc32, size, size, self._position, EARLIEST))
        self._position += len(header) + size
        self._entries += 1
        return header
