"""The parts of a package that is one ZIP file: ranges of segments, new headers, lists, and the directory at the end."""

from __future__ import annotations

import dataclasses
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Final

from prefect_collect.archive.zip64 import EARLIEST, central_record_at, end_of_directory, local_header_at
from prefect_collect.errors import KeyExists, KeyMissing, PackageExists
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.replacing import Owner, refusal, zip_left
from prefect_collect.packages.building.rows import Row
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile, fingerprint_of
from prefect_collect.stores import Blob, CopyRange, Piece, Store
from prefect_collect.threads.stop import Stop, stopped_by

_COPY: Final = 8 << 20
_IN_MEMORY: Final = 8 << 20
_LOOK_EVERY: Final = 64 << 20
"""Bytes that are copied between two checks whether the job was canceled."""


def place_zip(
    layout: ZipLayout,
    files: Sequence[PackageFile],
    staging: Store,
    destination: Store,
    key: str,
    sealed: tuple[str, str],
    *,
    owner: Owner | None,
    replace: bool,
    stop: Stop,
) -> tuple[Blob, str]:
    """Compose the ZIP file at `key`, and return it with its fingerprint.

    `sealed` names the package's base folder, and the one of the `files` that is its seal.

    With `replace`, a package that `owner` delivered there before is replaced, and one that is identical to the new one
    is kept; anything else is never touched. Raises PackageExists, StoreError, CorruptSegment, JobCanceled.
    """
    size = layout.finish(files)
    base, seal = sealed
    fingerprint = fingerprint_of(files, seal)
    left = zip_left(destination, key, base, seal) if replace and owner is not None else None
    ours = left is not None and owner is not None and left[1] in owner.fingerprints
    if left is not None and not ours:
        if (left[0].size, left[1]) != (size, fingerprint):
            raise refusal(destination, key)
        return left[0], fingerprint
    pieces = _while_it_stays(destination, left[0], layout.pieces()) if ours and left else layout.pieces()
    with stopped_by(stop):
        blob = _composed(destination, key, _until_canceled(pieces, stop), staging, replace=ours)
    return blob, fingerprint


def _until_canceled(pieces: Iterator[Piece], stop: Stop) -> Iterator[Piece]:
    """Yield the pieces, large ranges in steps, so that a store checks `stop` between them and at the end.

    Raises JobCanceled.
    """
    for piece in pieces:
        stop.require_going()
        if not isinstance(piece, CopyRange):
            yield piece
            continue
        for start in range(piece.start, piece.end, _LOOK_EVERY):
            stop.require_going()
            yield dataclasses.replace(piece, start=start, end=min(piece.end, start + _LOOK_EVERY))
    stop.require_going()


def _while_it_stays(destination: Store, blob: Blob, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield the pieces. Raises PackageExists before the end if the file to replace was itself replaced."""
    yield from pieces
    with suppress(KeyMissing):
        if destination.stat(blob.key) != blob:
            raise refusal(destination, blob.key)


def _composed(destination: Store, key: str, pieces: Iterator[Piece], staging: Store, *, replace: bool) -> Blob:
    try:
        return destination.compose(key, pieces, staging, replace=replace)
    except KeyExists as error:
        where = destination.locate(key)
        raise PackageExists(f"The package already exists; name another one or remove it. [{where}]") from error


class _Pieces:
    """Pieces in their order, in 24 bytes of memory each: new bytes beyond 8 MiB are in a temporary file."""

    def __init__(self) -> None:
        self._new = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (it ends with the layout)
        self._blobs: dict[tuple[str, str], int] = {}
        self._of, self._start, self._end = array("q"), array("q"), array("q")

    def append(self, piece: Piece) -> None:
        """Add a piece."""
        if isinstance(piece, CopyRange):
            number = self._blobs.setdefault((piece.key, piece.etag), len(self._blobs))
            start, end = piece.start, piece.end
        else:
            self._new.write(piece)
            number, start, end = -1, 0, len(piece)
        self._of.append(number)
        self._start.append(start)
        self._end.append(end)

    def __iter__(self) -> Iterator[Piece]:
        """Yield the pieces."""
        blobs = list(self._blobs)
        self._new.seek(0)
        for number, start, end in zip(self._of, self._start, self._end, strict=True):
            if number < 0:
                yield self._new.read(end)
            else:
                key, etag = blobs[number]
                yield CopyRange(key, start, end, etag)


class ZipLayout:
    """The place of each part in the ZIP file; central records are written to a temporary file.

    All names are below the folder `base` of `spec`; `payload` is the part of it that items are in, "" or ending in "/".
    With `keeps_headers`, local headers of the segments are used where they can be.
    """

    def __init__(
        self, spec: PackageSpec, checked: Checked, central: IO[bytes], payload: str = "", *, keeps_headers: bool = False
    ) -> None:
        self._base, self._payload, self._spec, self._checked = f"{spec.base}/", payload, spec, checked
        self._central, self._keeps_headers = central, keeps_headers
        self._pieces = _Pieces()
        self._open: tuple[str, int, int] | None = None
        self._fresh = bytearray()
        self._tags: list[tuple[bytes, PackageFile | None]] = []
        self._position = 0
        self._entries = 0

    def add(self, rows: list[Row]) -> None:
        """Append payload files."""
        records = []
        for row in rows:
            name = f"{self._base}{self._payload}{row.path}".encode()
            if self._keeps_headers and self._checked.keeps_header(row.number):
                zip64, start = row.has_zip64(name), row.entry_offset
                length = row.offset - start
            else:
                zip64, start = False, row.offset
                header = row.header(name, False)
                length = len(header)
                self._new(header)
            self._range(row.segment, start, row.end)
            records.append(
                central_record_at(
                    name, row.crc32, row.size, row.stored_size, self._position, row.stamp, row.deflated, zip64
                )
            )
            self._position += length + row.stored_size
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
        self._end_range()
        self._end_fresh()
        if self._payload and not self._entries:
            self._tags.append((self._entry(self._payload.encode(), 0, 0), None))
        self._tags += [(self._entry(file.name.encode(), file.crc32, file.size), file) for file in files]
        size = self._central.tell()
        self._end = end_of_directory(self._entries, size, self._position)
        return self._position + size + len(self._end)

    def pieces(self) -> Iterator[Piece]:
        """Yield all pieces of the finished file, in order."""
        yield from self._pieces
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
