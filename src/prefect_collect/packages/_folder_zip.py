"""A package that is a folder, as the bytes of one ZIP file, without making that file."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from typing import Final

from isal import isal_zlib

from prefect_collect.archive.zip64 import EARLIEST, central_record_at, end_of_directory, local_header_at
from prefect_collect.errors import PackageError
from prefect_collect.stores import Blob, Store

Files = Callable[[], Iterator[tuple[str, Blob]]]
"""Yields the files of a folder: their keys, in order, and the blobs that have their bytes."""

_STEP: Final = 4 << 20
"""Bytes that are read at a time; a file up to this size is read once."""

_UNKNOWN: Final = -1
_ANY_CRC: Final = 0


class FolderZip:
    """The ZIP file of a package's folder: its size, and any range of its bytes.

    Entries are stored, with ZIP64 records where they are needed, in the order of the names, below the package's base
    folder: the same folder gives the same bytes, so that an interrupted download can be continued. `verify` accepts
    the ZIP file as the package.

    A header holds the CRC-32 of its file, so a file larger than 4 MiB is read twice. The CRC-32 of each file is kept,
    so that a later range does not read what comes before it again. Several threads may read one object.

    Attributes:
        size: The bytes of the ZIP file.
        etag: A hash of the names and sizes, 32 hex digits.
    """

    def __init__(self, store: Store, base: str, files: Files | None = None) -> None:
        """List the folder `base` of the store, or the `files` that are given in its place, in the order of their keys.

        Raises:
            PackageError: There is no such folder.
            StoreError: The store cannot be read.
        """
        self._store, self._base, self._given = store, base, files
        digest = hashlib.sha256()
        self._has_payload, is_bag = False, False
        entries = position = central = 0
        for name, blob in self._listed():
            self._has_payload = self._has_payload or blob.key.startswith(f"{base}/data/")
            is_bag = is_bag or blob.key == f"{base}/bagit.txt"
            digest.update(b"%d %s\0" % (blob.size, name))
            header, record = _records(name, _ANY_CRC, blob.size, position)
            position += len(header) + blob.size
            central += len(record)
            entries += 1
        if not entries:
            raise PackageError(f"The package is no longer where the export wrote it. [{store.locate(base)}]")
        self._has_payload = self._has_payload or not is_bag  # only a bag needs a folder for it
        if not self._has_payload:
            header, record = _records(self._data, _ANY_CRC, 0, position)
            position, central, entries = position + len(header), central + len(record), entries + 1
        self._entries, self._central_start, self._central_size = entries, position, central
        self._crcs = array("q", [_UNKNOWN]) * entries
        self.size = position + central + len(end_of_directory(entries, central, position))
        self.etag = digest.hexdigest()[:32]

    @property
    def _data(self) -> bytes:
        return f"{self._base}/data/".encode()

    def _listed(self) -> Iterator[tuple[bytes, Blob]]:
        listed = ((blob.key, blob) for blob in self._store.list(f"{self._base}/"))
        for key, blob in listed if self._given is None else self._given():
            yield key.encode("utf-8", "surrogateescape"), blob

    def _files(self) -> Iterator[tuple[int, bytes, Blob, int]]:
        """Yield each entry's number, name, file and offset; the folder ``data`` is an entry if it is empty.

        Raise PackageError if the folder holds other files than before.
        """
        position = number = 0
        for name, blob in self._listed():
            after = position + len(_records(name, _ANY_CRC, blob.size, position)[0]) + blob.size
            if number == self._entries or after > self._central_start:
                raise self._changed(self._base)
            yield number, name, blob, position
            position, number = after, number + 1
        if not self._has_payload:
            yield number, self._data, Blob("", 0), position
            position, number = position + len(_records(self._data, _ANY_CRC, 0, position)[0]), number + 1
        if (number, position) != (self._entries, self._central_start):
            raise self._changed(self._base)

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` (exclusive; None: to the end).

        Raises:
            PackageError: The folder was changed since it was listed.
            StoreError: The store cannot be read.
        """
        end = self.size if end is None else min(end, self.size)
        for number, name, blob, position in self._files():
            header_size = len(_records(name, _ANY_CRC, blob.size, position)[0])
            after = position + header_size + blob.size
            if position < end and after > start:
                yield from self._entry(number, name, blob, position, header_size, start, end)
        if end > self._central_start and start < end:
            yield from _cut(self._central(), self._central_start, start, end)

    def _entry(
        self, number: int, name: bytes, blob: Blob, position: int, header_size: int, start: int, end: int
    ) -> Iterator[bytes]:
        """Yield the part of an entry that lies between `start` and `end` of the ZIP file."""
        data = position + header_size
        whole = self._read(blob, 0, blob.size) if blob.size <= _STEP else None
        if whole is not None:
            self._crcs[number] = isal_zlib.crc32(whole)
        if start < data:
            header, _ = _records(name, self._crc(number, blob), blob.size, position)
            yield from _cut([header], position, start, end)
        first, last = max(start - data, 0), min(end - data, blob.size)
        if whole is not None:
            if first < last:
                yield whole[first:last]
            return
        for at in range(first, last, _STEP):
            yield self._read(blob, at, min(at + _STEP, last))

    def _central(self) -> Iterator[bytes]:
        for number, name, blob, position in self._files():
            yield _records(name, self._crc(number, blob), blob.size, position)[1]
        yield end_of_directory(self._entries, self._central_size, self._central_start)

    def _crc(self, number: int, blob: Blob) -> int:
        if self._crcs[number] == _UNKNOWN:
            crc = 0
            for at in range(0, blob.size, _STEP):
                crc = isal_zlib.crc32(self._read(blob, at, min(at + _STEP, blob.size)), crc)
            self._crcs[number] = crc
        return self._crcs[number]

    def _read(self, blob: Blob, start: int, end: int) -> bytes:
        if start == end:
            return b""
        data = self._store.read(blob.key, start, end)
        if len(data) != end - start:
            raise self._changed(blob.key)
        return data

    def _changed(self, key: str) -> PackageError:
        return PackageError(f"The package was changed while it was read. [{self._store.locate(key)}]")


def _records(name: bytes, crc32: int, size: int, position: int) -> tuple[bytes, bytes]:
    """Return the local header and the central record of the entry whose header is at `position`."""
    header = local_header_at(name, crc32, size, size, EARLIEST)
    return header, central_record_at(name, crc32, size, size, position, EARLIEST)


def _cut(pieces: Iterator[bytes] | list[bytes], position: int, start: int, end: int) -> Iterator[bytes]:
    """Yield what of the pieces, the first of which is at `position`, lies between `start` and `end`."""
    for piece in pieces:
        part = piece[max(start - position, 0) : max(end - position, 0)]
        position += len(piece)
        if part:
            yield part
