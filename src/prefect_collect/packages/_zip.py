"""Builds a bag as one ZIP64 file, composed from ranges of the segments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Final

from prefect_collect.archive.zip64 import EARLIEST, central_record_at, end_of_directory, local_header_at
from prefect_collect.codes import Failure
from prefect_collect.errors import KeyExists, KeyMissing, PackageExists
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages._bag import TagFile, TagFiles, temporary_folder
from prefect_collect.packages._check import Checked
from prefect_collect.packages._listing import list_items
from prefect_collect.packages._replacing import TAG_MANIFEST, Owner, refusal, zip_left
from prefect_collect.packages._rows import Row, read_rows
from prefect_collect.packages._spec import Built, PackageSpec
from prefect_collect.stores import Blob, CopyRange, Piece, Store
from prefect_collect.threads.stop import Stop, stopped_by

_COPY: Final = 8 << 20
_LOOK_EVERY: Final = 64 << 20
"""Bytes that are copied between two checks whether the job was canceled."""


def build_zip(
    manifest: Batches,
    not_delivered: Batches,
    checked: Checked,
    staging: Store,
    destination: Store,
    key: str,
    spec: PackageSpec,
    *,
    owner: Owner | None = None,
    replace: bool = False,
    stop: Stop | None = None,
) -> Built:
    """Compose the package of the good items at `key`; `not_delivered` (`NOT_DELIVERED`'s columns) are only listed.

    `checked` is the result of `check_items` for the same manifest and `spec`. The same input gives the same bytes. With
    `replace`, a package that `owner` delivered there before is replaced, and one that is identical to the new one (left
    by an attempt that died before it could record it) is kept; anything else is never touched.

    Raises:
        PackageExists: The name holds something that this job did not build.
        CorruptSegment: A segment changed after it was checked.
        StoreError: A store failed.
        JobCanceled: `stop` was set to cancel; then there is no new package.
    """
    stop = Stop() if stop is None else stop
    with temporary_folder() as folder:
        tags = TagFiles(folder, spec)
        try:
            with open(folder / "central", "w+b") as central:
                layout = _Layout(spec, checked, central)
                for rows in read_rows(manifest, checked.names):
                    stop.require_going()
                    good = [row for row in rows if checked.is_good(row.number)]
                    layout.add(good)
                    digests = [checked.sha512(row.number) for row in good] if spec.sha512 else []
                    tags.deliver([r.path for r in good], [r.size for r in good], [r.sha256 for r in good], digests)
                list_items(tags, manifest, not_delivered, checked, {})
                files = tags.finish()
                size = layout.finish(files)
                fingerprint = next(file.hashes["sha256"] for file in files if file.name == TAG_MANIFEST)
                left = zip_left(destination, key, spec.base) if replace and owner is not None else None
                ours = left is not None and owner is not None and left[1] in owner.fingerprints
                if left is not None and not ours:
                    if (left[0].size, left[1]) != (size, fingerprint):
                        raise refusal(destination, key)
                    blob = left[0]
                else:
                    pieces = (
                        _while_it_stays(destination, left[0], layout.pieces()) if ours and left else layout.pieces()
                    )
                    with stopped_by(stop):
                        blob = _composed(destination, key, _until_canceled(pieces, stop), staging, replace=ours)
        finally:
            tags.close()
    failed: dict[int, Failure] = {}
    return Built(key, blob, tags.items, tags.bytes, fingerprint, failed)


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


class _Layout:
    """The place of each part in the ZIP file; central records are written to a temporary file."""

    def __init__(self, spec: PackageSpec, checked: Checked, central: IO[bytes]) -> None:
        self._base, self._spec, self._checked, self._central = f"{spec.base}/", spec, checked, central
        self._pieces: list[Piece] = []
        self._open: tuple[str, int, int] | None = None
        self._fresh = bytearray()
        self._tags: list[tuple[bytes, TagFile | None]] = []
        self._position = 0
        self._entries = 0

    def add(self, rows: list[Row]) -> None:
        """Append payload files."""
        records = []
        for row in rows:
            name = f"{self._base}data/{row.path}".encode()
            if self._checked.keeps_header(row.number):
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

    def finish(self, files: list[TagFile]) -> int:
        """Append the tag files, after which nothing more can be added. Return the size of the ZIP file."""
        self._end_range()
        self._end_fresh()
        if not self._entries:
            self._tags.append((self._entry(b"data/", 0, 0), None))
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
                yield from file.chunks()
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
