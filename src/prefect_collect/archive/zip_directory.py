"""Reads a ZIP file's central directory, and checks each of its bytes.

`zipfile` is not used: it reads the whole directory into memory (62 MB for 100,000 entries, here 3 MB; twice the CPU),
and does not say what it passes over: bytes before, between and after the records, which a package must not have.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prefect_collect.archive import zip64 as z
from prefect_collect.archive.problems import Damaged, NotAnArchive, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.unsafe_names import unsafe

CENTRAL: Final = "central directory"
END: Final = "end record"
_LENGTHS: Final = struct.Struct("<3H")
_TAIL: Final = z.END_SIZE + 0xFFFF
_MOST_NAMES: Final = 3 * 0xFFFF
"""Bytes of name, extra fields and comment that a record has at most."""


_HEAD: Final = 265
"""Bytes from the start by which another kind of archive is recognised: a tar file's mark ends there."""

_OTHER_ARCHIVES: Final = {
    "tar": (257, b"ustar"), "gzip": (0, b"\x1f\x8b"), "bzip2": (0, b"BZh"), "xz": (0, b"\xfd7zXZ\0"),
    "Zstandard": (0, b"\x28\xb5\x2f\xfd"), "7z": (0, b"7z\xbc\xaf\x27\x1c"), "RAR": (0, b"Rar!\x1a\x07"),
}  # fmt: skip
_PDF: Final = b"%PDF-"
_FIRST: Final = b"PK"
"""How every ZIP file begins, also one that was cut off."""


@dataclass(slots=True)
class ZipEntry:
    """The central directory's record of one entry, which begins at byte `at` of the file."""

    name: str
    raw: bytes
    flags: int
    method: int
    stamp: int
    crc32: int
    size: int
    stored_size: int
    offset: int
    mode: int
    at: int = 0


@dataclass(slots=True)
class Directory:
    """A central directory: its place, its number of entries, and what is not canonical about it.

    `shift` is the number of bytes between its place and the place that the end record states: what was added (or,
    negative, lost) before it.
    """

    start: int
    end: int
    entries: int
    shift: int
    form: Problems


def find_directory(source: Bytes, problems: Problems) -> Directory:
    """Find the central directory from the file's end. Raise Damaged, or NotAnArchive, if there is none."""
    tail_start = max(0, source.size - _TAIL)
    tail = source.read(tail_start, source.size)
    at, fitting = _find_end(tail)
    if at < 0:
        raise _not_a_zip(source.read(0, _HEAD))
    if fitting > 1:
        problems.add(END, f"{fitting} end records fit the end of the file, so that readers may see other files in it")
    fields = z.END.unpack_from(tail, at)
    entries, size, offset = fields[4], fields[5], fields[6]
    if fields[3] != entries or any(disk not in (0, z.COUNT_LIMIT) for disk in fields[1:3]):
        problems.add(END, "it is of a ZIP file in several parts, which are not supported")
    position = tail_start + at
    after = source.size - position - z.END_SIZE - fields[7]
    if after > 0:
        problems.add(END, f"{after} bytes follow the end of the ZIP file")
    end = position
    locator = source.read(max(0, position - z.LOCATOR_SIZE), position)
    if locator.startswith(z.LOCATOR_SIGNATURE) and len(locator) == z.LOCATOR_SIZE:
        end, *wide = _find_end64(source, position, problems)
        limits = z.COUNT_LIMIT, z.LIMIT, z.LIMIT
        stated = zip((entries, size, offset), limits, wide, strict=True)
        if any(narrow != limit and narrow != value for narrow, limit, value in stated):
            problems.add(END, "the two end records do not agree, so that readers may see other files in it")
        entries, size, offset = wide
    elif entries == z.COUNT_LIMIT or z.LIMIT in (size, offset):
        raise Damaged("its ZIP64 end record is damaged")
    form = Problems()
    canonical = z.end_of_directory(entries, size, offset)
    if after <= 0 and (source.size - end != len(canonical) or source.read(end, source.size) != canonical):
        form.add(END, "its bytes are not as they were written")
    start = end - size
    if start < 0 or (entries and not _is_central(source, start) and _is_central(source, offset)):
        start = offset
    shift = start - offset
    if start + size != end or shift:
        count = end - size - offset
        what = f"{count} bytes were added" if count > 0 else f"{-count} bytes were lost"
        problems.add(CENTRAL, f"{what} {'in' if start == offset else 'before'} it, going by the end record")
    return Directory(start, end, entries, shift, form)


def _not_a_zip(head: bytes) -> Damaged:
    """Return the error of a file without an end record, which says why it is not a ZIP file."""
    if not head:
        return Damaged("it is an empty file")
    kind = next((name for name, (at, mark) in _OTHER_ARCHIVES.items() if head.startswith(mark, at)), None)
    if kind is not None:
        return Damaged(f"it is a {kind} archive, of which nothing is read: unpack it, and verify the folder")
    if head.startswith(_PDF):
        return NotAnArchive("it is a PDF document; a chain of custody document is checked with its package")
    what = "it is not a ZIP file, or it was cut off: it has no end record"
    return Damaged(what) if head.startswith(_FIRST) else NotAnArchive(what)


def _find_end(tail: bytes) -> tuple[int, int]:
    """Return where the end record is, and how many end records end exactly at the end of the file.

    If none does, it is the last one whose comment fits into the file.
    """
    best, fallback, fitting, at = -1, -1, 0, len(tail)
    while (at := tail.rfind(z.END_SIGNATURE, 0, at)) >= 0:
        if at + z.END_SIZE <= len(tail):
            comment = int.from_bytes(tail[at + 20 : at + 22], "little")
            if at + z.END_SIZE + comment == len(tail):
                best = at if best < 0 else best
                fitting += 1
            elif fallback < 0 and at + z.END_SIZE + comment < len(tail):
                fallback = at
    return (best if best >= 0 else fallback), fitting


def _find_end64(source: Bytes, position: int, problems: Problems) -> tuple[int, int, int, int]:
    end = z.LOCATOR.unpack(source.read(position - z.LOCATOR_SIZE, position))[2]
    record = source.read(end, end + z.END64_SIZE)
    if not record.startswith(z.END64_SIGNATURE) or len(record) < z.END64_SIZE:
        stated, end = end, position - z.LOCATOR_SIZE - z.END64_SIZE
        record = source.read(max(0, end), end + z.END64_SIZE)
        if not record.startswith(z.END64_SIGNATURE) or len(record) < z.END64_SIZE:
            raise Damaged("its ZIP64 end record is not where the locator places it")
        problems.add(END, f"the ZIP64 end record is at {end}, not at {stated}: bytes were added or lost before it")
    fields = z.END64.unpack(record)
    return end, fields[7], fields[8], fields[9]


def _is_central(source: Bytes, at: int) -> bool:
    return source.read(at, at + 4) == z.CENTRAL_SIGNATURE


def read_entries(source: Bytes, directory: Directory, problems: Problems) -> Iterator[ZipEntry]:
    """Yield the entries in the order of the central directory; add what is wrong with a record to the problems."""
    count, at = 0, directory.start
    buffer, start = b"", directory.start
    while at < directory.end:
        end = _record_end(buffer, at - start)
        if end > len(buffer):
            start, buffer = at, source.read(at, min(directory.end, at + max(source.window, 1 << 18)))
            end = _record_end(buffer, 0)
        if end > len(buffer) or not buffer.startswith(z.CENTRAL_SIGNATURE, at - start):
            problems.add(CENTRAL, f"record {count + 1} is damaged, at byte {at}")
            return
        entry = _parsed(buffer[at - start : end], directory.form)
        if isinstance(entry, str):
            problems.add(CENTRAL, f"record {count + 1} is damaged, at byte {at}: {entry}")
            return
        entry.at = at
        yield entry
        count += 1
        at = start + end
    if count != directory.entries:
        problems.add(CENTRAL, f"it has {count} records, but the end record states {directory.entries}")


def read_entry(source: Bytes, at: int) -> ZipEntry:
    """Return the entry whose record begins at a place. Raise Damaged if there is none."""
    record = source.read(at, at + z.CENTRAL_SIZE + _MOST_NAMES)
    end = _record_end(record, 0)
    if end > len(record) or not record.startswith(z.CENTRAL_SIGNATURE):
        raise Damaged("the central directory has no record there")
    entry = _parsed(record[:end], Problems())
    if isinstance(entry, str):
        raise Damaged(entry)
    entry.at = at
    return entry


def _record_end(buffer: bytes, at: int) -> int:
    if len(buffer) - at < z.CENTRAL_SIZE:
        return len(buffer) + 1
    name, extra, comment = _LENGTHS.unpack_from(buffer, at + 28)
    return int(at + z.CENTRAL_SIZE + name + extra + comment)


def _parsed(record: bytes, form: Problems) -> ZipEntry | str:
    fields = z.CENTRAL.unpack_from(record)
    version, flags, method, time, date, crc32, stored, size, name_size, extra_size = fields[2:12]
    offset = fields[16]
    raw = record[z.CENTRAL_SIZE : z.CENTRAL_SIZE + name_size]
    other = _unicode_name(raw, record[z.CENTRAL_SIZE + name_size :][:extra_size])
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        if flags & 0x800:
            return "its name is not UTF-8"
        name = other or raw.decode("cp437")
        if why := unsafe(raw.decode("cp437")):
            return f"to readers without Unicode Path fields {why}"
    else:
        if other not in (None, name):
            return "its Unicode Path field gives it another name than its record"
    if z.LIMIT in (size, stored, offset):
        wide = [size, stored, offset]
        needed = [index for index, value in enumerate(wide) if value == z.LIMIT]
        values = zip64_values(record[z.CENTRAL_SIZE + name_size :][:extra_size])
        if len(values) < len(needed):
            return "its ZIP64 sizes are missing"
        for index, value in zip(needed, values, strict=False):
            wide[index] = value
        size, stored, offset = wide
    stamp = (date << 16) | time
    canonical = z.central_record_at(raw, crc32, size, stored, offset, stamp, method == 8, version == 45)
    if record != canonical:
        form.add(name, "its record in the central directory is not as it was written")
    return ZipEntry(name, raw, flags, method, stamp, crc32, size, stored, offset, fields[15] >> 16)


def _unicode_name(raw: bytes, extra: bytes) -> str | None:
    """Return the name in the Unicode Path extra field (4.6.9) of an entry named `raw`; WinZip and Info-ZIP write it."""
    data = _extra_field(extra, 0x7075)
    if data[:1] != b"\x01" or data[1:5] != zlib.crc32(raw).to_bytes(4, "little"):
        return None
    try:
        return data[5:].decode()
    except UnicodeDecodeError:
        return None


def zip64_values(extra: bytes) -> list[int]:
    """Return the 8-byte values of the ZIP64 extra field (4.5.3)."""
    data = _extra_field(extra, 1)
    return [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data) // 8 * 8, 8)]


def _extra_field(extra: bytes, wanted: int) -> bytes:
    """Return the content of the first extra field of that kind (4.5.1); empty if there is none."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == wanted:
            return extra[at + 4 : at + 4 + size]
        at += 4 + size
    return b""
