"""The entries of a ZIP file as the files of a package."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import Final

from isal import isal_zlib

from prefect_collect.archive import zip64 as z
from prefect_collect.archive.inflating import DEFLATED, METHODS, SUPPORTED, unpacked
from prefect_collect.archive.problems import Damaged, Problems, shown
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.zip_directory import CENTRAL, ZipEntry, find_directory, read_entries, zip64_values
from prefect_collect.packages.contents.bytes import LocalBytes, PartOfBytes, Window
from prefect_collect.packages.contents.containers import Reader, kind_of
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.problems import Findings, Tally

_LARGEST: Final = 1 << 53
"""Bytes: no file is larger, and a directory that states more is damaged or forged."""

_IMPOSSIBLE: Final = -1
_OVERLAPPING: Final = -2
_ENCRYPTED: Final = -3
_UNREADABLE: Final = {
    _IMPOSSIBLE: "the central directory gives it a size or a place that it cannot have in this file",
    _OVERLAPPING: "its bytes also belong to another entry, so it was not read",
    _ENCRYPTED: "it is encrypted, so nothing proves its bytes",
}
"""Values that replace the compression method of an entry that cannot be read."""

_CHANGED: Final = "its bytes were changed (CRC-32 differs)"

_EXTRA: Final = 4096
"""Bytes of extra fields in a local header that are read together with it."""

_PLAIN_MODE: Final = stat.S_IFREG | 0o644
_USUAL: Final = (0, DEFLATED)
_SPECIAL_RIGHTS: Final = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_ODD_ENTRIES: Final = {
    "rights": "entries ask for set-user-ID, set-group-ID or sticky rights",
}


class ZipContainer:
    """The entries of a ZIP file."""

    kind = "zip"
    reads_all = True
    in_order = False
    has_folders = True

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self.in_forks = isinstance(source, LocalBytes)
        self.shift = self.end = 0

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all entries; return False if the central directory is damaged. Raise Damaged if there is none."""
        problems, tally, latest, in_order = findings.problems, Tally(), 0, True
        directory = find_directory(self._source, problems)
        self.shift, self.end = directory.shift, directory.start
        broken = len(problems.kept)
        for found in read_entries(self._source, directory, problems):
            entry = self._entry(index.count, found)
            _check_mode(found, problems, tally)
            in_order = in_order and entry.offset >= latest
            latest = max(latest, _end(entry.offset, len(found.raw), entry.stored_size))
            index.add(entry)
        findings.form.take(directory.form)
        tally.report("package", findings.tolerated, _ODD_ENTRIES)
        if not in_order:
            self._find_overlaps(index)
        return not any(problem.path == CENTRAL for problem in problems.kept[broken:])

    def _entry(self, number: int, found: ZipEntry) -> Entry:
        method, size, stored, offset = found.method, found.size, found.stored_size, found.offset
        if size > _LARGEST or max(stored, offset) > self._source.size or (method == 0 and size != stored):
            method = _IMPOSSIBLE
            size, stored, offset = min(size, _LARGEST), min(stored, self._source.size), min(offset, self._source.size)
        elif found.flags & 1:
            method = _ENCRYPTED
        raw = None if found.name.encode() == found.raw else found.raw
        return Entry(number, found.name, size, method, found.stamp, found.crc32, stored, offset, raw)

    @staticmethod
    def _find_overlaps(index: FileIndex) -> None:
        """Mark entries that begin before an earlier one ends: with them a small file can inflate to any size."""
        latest = 0
        index.flush()
        # All sorted rows are read before the first is returned, so that changing them in the loop is safe.
        rows = index.query(
            "SELECT number, offset, length(coalesce(raw, name)), stored_size FROM file ORDER BY offset, number"
        )
        for number, offset, name_size, stored in rows:
            if offset < latest:
                index.change("UPDATE file SET method = ? WHERE number = ? AND method >= 0", _OVERLAPPING, number)
            latest = max(latest, _end(offset, name_size, stored))

    def reader(self, entries: Sequence[Entry], following: int | None) -> Reader:
        """Return a reader of those entries."""
        return _ZipReader(self, self._source, entries, following)

    def opened(self, entry: Entry) -> Bytes:
        """Return the bytes of an entry that is stored as it is. Raise Damaged."""
        if entry.method:
            raise Damaged("it is compressed in the ZIP file, so that it cannot be read as a package")
        start = _ZipReader(self, self._source, [entry], None).start_of(entry)
        return PartOfBytes(self._source, start, entry.size)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _end(offset: int, name_size: int, stored_size: int) -> int:
    """Return the lowest possible end of an entry."""
    return offset + z.LOCAL_SIZE + name_size + stored_size


def _check_mode(entry: ZipEntry, problems: Problems, tally: Tally) -> None:
    mode, is_folder = entry.mode, entry.name.endswith("/")
    if mode == _PLAIN_MODE and not is_folder:
        return
    if stat.S_ISDIR(mode) != is_folder and stat.S_IFMT(mode) in (stat.S_IFDIR, stat.S_IFREG):
        kinds = ("a folder", "a file") if stat.S_ISDIR(mode) else ("a file", "a folder")
        problems.add(entry.name, f"by its mode it is {kinds[0]}, by its name {kinds[1]}")
    elif stat.S_IFMT(mode) not in (0, stat.S_IFDIR, stat.S_IFREG):
        problems.add(entry.name, f"it is {kind_of(mode)}, which a package must not hold")
    if mode & _SPECIAL_RIGHTS:
        tally.add("rights", entry.name)


class _ZipReader:
    """Reads entries in order."""

    def __init__(self, container: ZipContainer, source: Bytes, entries: Sequence[Entry], following: int | None) -> None:
        self._window, self._end, self._shift = Window(source), container.end, container.shift
        self.form = Problems()
        last = self._end - self._shift if following is None else following
        offsets = [*(entry.offset for entry in entries[1:]), last]
        self._following = dict(zip((entry.number for entry in entries), offsets, strict=True))
        tail = entries[-1]
        ahead = _end(tail.offset, len(tail.raw or tail.name), tail.stored_size) + _EXTRA + max(0, self._shift)
        self._ahead = min(self._end, ahead)

    def chunks(self, entry: Entry) -> Iterator[bytes | memoryview]:
        """Yield the entry's bytes, inflated if needed. Raise Damaged."""
        if entry.method in _UNREADABLE:
            raise Damaged(_UNREADABLE[entry.method])
        if entry.method not in SUPPORTED:
            name = METHODS.get(entry.method, "unknown")
            raise Damaged(
                f"its compression method {entry.method} ({name}) is not supported, so nothing proves its bytes"
            )
        start = self._data_start(entry)
        end = start + entry.stored_size
        if end > self._end:
            raise Damaged("it reaches into the central directory")
        if not entry.method and 0 < end - start <= self._window.size:
            whole = self._window.span(start, end, self._ahead)
            yield whole
            if len(whole) != entry.size or isal_zlib.crc32(whole) != entry.crc32:
                raise Damaged(_CHANGED)
            return
        ranges = ((at, min(end, at + self._window.size)) for at in range(start, end, self._window.size))
        stored = (self._window.span(*span, self._ahead) for span in ranges)
        crc32, size = 0, 0
        for chunk in unpacked(entry.method, stored, entry.size) if entry.method else stored:
            crc32 = isal_zlib.crc32(chunk, crc32)
            size += len(chunk)
            yield chunk
        if size != entry.size or crc32 != entry.crc32:
            raise Damaged(_CHANGED)

    def start_of(self, entry: Entry) -> int:
        """Return where the entry's bytes begin. Raise Damaged."""
        start = self._data_start(entry)
        if start + entry.stored_size > self._end:
            raise Damaged("it reaches into the central directory")
        return start

    def _data_start(self, entry: Entry) -> int:
        reason = ""
        for at in (entry.offset, entry.offset + self._shift) if self._shift else (entry.offset,):
            found = self._local(entry, at)
            if isinstance(found, int):
                return found
            reason = reason or found
        raise Damaged(reason or "its local header is damaged, or not where the central directory places it")

    def _local(self, entry: Entry, offset: int) -> int | str:
        """Return where the data begins, from the local header at `offset`, or what is wrong with that header.

        The text is "" if there is no local header.
        """
        raw = entry.raw or entry.name.encode()
        if entry.method in _USUAL and (length := self._as_written(entry, raw, offset)):
            return self._placed(entry, offset, length)
        try:
            fixed = z.LOCAL.unpack(self._window.span(offset, offset + z.LOCAL_SIZE, self._ahead))
            name_size, extra_size = fixed[9], fixed[10]
            length = z.LOCAL_SIZE + name_size + extra_size
            header = bytes(self._window.span(offset, offset + length, self._ahead))
        except Damaged:
            return ""
        if not header.startswith(z.LOCAL_SIGNATURE):
            return ""
        name = header[z.LOCAL_SIZE : z.LOCAL_SIZE + name_size]
        if name != raw:
            return f"its local header names another file: {shown(name.decode(errors='replace')[:200])}"
        if fixed[3] != entry.method or fixed[2] & 1:
            return "its local header and the central directory do not agree on how it is compressed or encrypted"
        if not fixed[2] & 8 and not _agrees(entry, fixed[6:9], header[z.LOCAL_SIZE + name_size :]):
            return "its local header and the central directory do not agree on its size or CRC-32"
        expected = z.local_header_at(
            raw, entry.crc32, entry.size, entry.stored_size, entry.stamp, entry.method == DEFLATED,
            extra_size == z.LOCAL_EXTRA_SIZE,
        )  # fmt: skip
        if header != expected:
            self.form.add(entry.name, "its local header is not as it was written")
        return self._placed(entry, offset, length)

    def _as_written(self, entry: Entry, raw: bytes, offset: int) -> int:
        """Return the length of the local header if it is exactly the one that is written for it here, else 0."""
        expected = z.local_header_at(
            raw, entry.crc32, entry.size, entry.stored_size, entry.stamp, entry.method == DEFLATED
        )
        try:
            found = self._window.span(offset, offset + len(expected), self._ahead)
        except Damaged:
            return 0
        return len(expected) if found == expected else 0

    def _placed(self, entry: Entry, offset: int, length: int) -> int:
        """Return where the data begins after its header, and report bytes around it that belong to nothing."""
        following = self._following[entry.number]
        fits = offset + length + entry.stored_size in (following, following + self._shift)
        if not fits or (entry.number == 0 and offset):
            self.form.add(entry.name, "there are bytes before or after it that belong to nothing")
        return offset + length


def _agrees(entry: Entry, stated: tuple[int, int, int], extra: bytes) -> bool:
    """Return whether a local header states the entry's CRC-32, stored size and size."""
    crc32, stored, size = stated
    if z.LIMIT in (stored, size):
        values = [*zip64_values(extra), 0, 0]
        size, stored = (values.pop(0) if value == z.LIMIT else value for value in (size, stored))
    return (crc32, stored, size) == (entry.crc32, entry.stored_size, entry.size)
