"""The entries of ZIP files as files, read where they lie.

What a ZIP file says is not trusted: an entry is read if the central directory, its own header and the file's size agree
about it, and no other entry has its name or its bytes. All others are items that failed, each with the reason.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Final

from prefect_collect.archive import zip64 as z
from prefect_collect.archive.inflating import DEFLATED, unpacked
from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.zip_directory import ZipEntry, find_directory, read_entries, read_entry
from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import WINDOW, Archive
from prefect_collect.connectors.containers.judging import STORED, conflicts, failure_of, name_hash
from prefect_collect.connectors.containers.unpacked import Unpacked
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources import Content, Item

_EXTRA: Final = 4 << 10
"""Bytes of extra fields in a local header that are read together with it."""


class Entry:
    """An entry of a ZIP file, as a file."""

    window: Final = WINDOW

    def __init__(self, archive: Archive, entry: ZipEntry, shift: int = 0) -> None:
        self._archive, self._entry, self._shift = archive, entry, shift
        self._data = -1
        self._unpacked: Unpacked | None = None
        self.item = Item(
            ids.entry_id(archive.item.id, entry.name, entry.at),
            path_of(entry.name),
            entry.size,
            etag=f"crc32:{entry.crc32:08x}",
            version=archive.mark,
        )

    @property
    def size(self) -> int:
        """The number of its bytes, unpacked."""
        return self._entry.size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the entry's end."""
        return b"".join(self.stream(start, min(end, self.size)))

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` to `end`, or to the entry's end; all of them are compared with their CRC-32."""
        end = self.size if end is None else end
        sums = 0
        for piece in self._raising(partial(self._pieces, start, end)):
            sums = zlib.crc32(piece, sums)
            yield piece
        if (start, end) == (0, self.size) and sums != self._entry.crc32:
            what = f"The CRC-32 of the entry is {sums:08x}, but the ZIP file states {self._entry.crc32:08x}"
            raise TransientSourceError(f"{what}. [{self.place}]", code="checksum_mismatch")

    @contextmanager
    def open(self) -> Iterator[Content]:
        """Open the entry as an item, with its CRC-32."""
        pieces = self._raising(self._whole)
        first = [piece] if (piece := next(pieces, None)) is not None else []  # the header has then been looked at
        yield Content(
            chain(first, pieces), self.size, etag=self.item.etag, version=self._archive.mark, crc32=self._entry.crc32
        )

    @property
    def place(self) -> str:
        """The entry's full location."""
        return f"{self._archive.place}/{self._entry.name}"

    @property
    def mark(self) -> str | None:
        """What the ZIP file is known by."""
        return self._archive.mark

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _pieces(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes of a range."""
        if start >= end:
            return iter(())
        if self._entry.method == STORED:
            return self._archive.stream(self._start + start, self._start + end)
        if self._entry.method == DEFLATED:
            if self._unpacked is None:
                self._unpacked = Unpacked(self._packed, self._entry.stored_size, self.size)
            return self._unpacked.stream(start, end)
        return _within(self._whole(), start, end)

    def _whole(self) -> Iterator[bytes | memoryview]:
        """Yield all bytes, with one request for the header and the data after it."""
        entry, at = self._entry, self._at
        guess = at + z.LOCAL_SIZE + len(entry.raw) + _EXTRA + entry.stored_size
        stream = self._archive.stream(at, min(self._archive.size, guess))
        head = b""
        while len(head) < z.LOCAL_SIZE + len(entry.raw) + _EXTRA and (piece := next(stream, None)) is not None:
            head += piece
        skipped = self._header(head)
        self._data = at + skipped
        stop = self._data + entry.stored_size
        rest: Iterator[bytes | memoryview] = chain([head[skipped:]], stream)
        packed = _within(rest, 0, entry.stored_size)
        if stop > guess:
            packed = self._archive.stream(self._data, stop)
        return packed if entry.method == STORED else unpacked(entry.method, packed, entry.size)

    @property
    def _at(self) -> int:
        """Where the entry's own header is. Raise Damaged if that is nowhere in the file."""
        at = self._entry.offset + self._shift
        if at < 0:
            raise Damaged("it would begin before the file does")
        return at

    @property
    def _start(self) -> int:
        """Where the packed bytes begin."""
        if self._data < 0:
            at = self._at
            self._data = at + self._header(self._archive.read(at, at + z.LOCAL_SIZE + len(self._entry.raw)))
        return self._data

    def _packed(self, start: int, end: int) -> bytes:
        return self._archive.read(self._start + start, self._start + end)

    def _header(self, head: bytes) -> int:
        """Return the size of the entry's own header. Raise Damaged if it is of another entry than the directory's."""
        if len(head) < z.LOCAL_SIZE or not head.startswith(z.LOCAL_SIGNATURE):
            raise Damaged("its own header is not where the directory says")
        fields = z.LOCAL.unpack_from(head)
        name_size, extra_size = fields[-2:]
        if head[z.LOCAL_SIZE :][:name_size] != self._entry.raw or fields[3] != self._entry.method:
            raise Damaged("its own header and the directory do not agree about it")
        return int(z.LOCAL_SIZE + name_size + extra_size)

    def _raising(self, pieces: Callable[[], Iterator[bytes | memoryview]]) -> Iterator[bytes | memoryview]:
        try:
            yield from pieces()
        except Damaged as error:
            raise unreadable(f"The entry cannot be read: {error}", self.place) from error


def path_of(name: str) -> str:
    """Return the path that a name means: programs on Windows have written "\\" for "/"."""
    return name if "/" in name else name.replace("\\", "/")


def unreadable(what: str, place: str) -> SourceError:
    """Return the error of a ZIP file, or an entry, that cannot be read."""
    return SourceError(f"{what}. [{place}]", code="unreadable_entry")


class Directory:
    """The central directory of a ZIP file, from which single entries are read by their places."""

    window: Final = WINDOW

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._shift: int | None = None
        self._start, self._data = 0, b""
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The number of bytes of the ZIP file."""
        return self.archive.size

    def read(self, start: int, end: int) -> bytes:
        """Return bytes of the ZIP file; those around the place that was read last are in memory."""
        if not self._start <= start or end > self._start + len(self._data):
            self._start, self._data = start, self.archive.read(start, max(end, start + WINDOW))
        return self._data[start - self._start : end - self._start]

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def entry(self, name: str, at: int) -> Entry:
        """Return the entry whose record is at a place. Raise SourceError (`not_found`) if it is another one there."""
        with self._lock:
            try:
                if self._shift is None:
                    self._shift = find_directory(self.archive, Problems()).shift
                found = read_entry(self, at)
            except Damaged as error:
                raise _gone(f"The ZIP file has no such entry at this place any more: {error}", self, name) from error
        if found.name != name:
            raise _gone(f"The ZIP file has another entry at this place now, {found.name!r}", self, name)
        return Entry(self.archive, found, self._shift)


def _gone(what: str, directory: Directory, name: str) -> SourceError:
    return SourceError(f"{what}. [{directory.archive.place}/{name}]", code="not_found")


def entries(archive: Archive, inside: str = "") -> Iterator[Entry | Item]:
    """Yield the entries of a ZIP file, those that are not to be read as items that failed.

    Args:
        archive: The ZIP file.
        inside: How the paths of what is in it begin.

    Raises:
        SourceError: `unreadable_entry`, once all are listed, if the file is not as a ZIP file should be.
    """
    problems = Problems()
    try:
        directory = find_directory(archive, problems)
        doubled, overlapping = conflicts(read_entries(archive, directory, Problems()))
        for entry in read_entries(archive, directory, problems):
            if entry.name.endswith("/") and not entry.size:
                continue
            failure = failure_of(
                entry, archive.size, doubled=name_hash(entry) in doubled, overlaps=entry.at in overlapping
            )
            found = Entry(archive, entry, directory.shift)
            item = found.item
            if failure is not None:
                message = f"{failure.message}. [{found.place}]"
                yield Item(item.id, f"{inside}{item.path}", failure=Failure(failure.code, message))
            else:
                yield found
    except Damaged as error:
        raise unreadable(f"The ZIP file cannot be read: {error}", archive.place) from error
    if problems.kept:
        what = "; ".join(str(problem) for problem in problems.kept[:3])
        raise unreadable(f"The ZIP file is not as it should be, so there may be more in it: {what}", archive.place)


def _within(pieces: Iterator[bytes | memoryview], start: int, end: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes from `start` to `end` of what passes by."""
    at = 0
    for piece in pieces:
        if at >= end:
            return
        part = piece[max(0, start - at) : end - at]
        at += len(piece)
        if len(part):
            yield part
