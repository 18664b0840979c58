"""The records of a ZIP file, as PKWARE's APPNOTE.TXT 6.3.x describes them (section numbers below are its own).

Only one form of each record is written, so that a file's records follow from its items alone: UTF-8 names (general
purpose bit 11), no data descriptors, no comments, times in UTC, regular files of mode 0644, and ZIP64 fields only where
they are needed or, in a local header, where the size was not known when it was written.

`zipfile` is not used: it writes an entry only together with its bytes, which here are already in segments and are
copied by the store; it keeps 290 bytes of memory for each entry until the end, and takes 8 to 12 times the CPU
(``python -m benchmarks.libraries``).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final

LIMIT: Final = 0xFFFFFFFF
"""Sizes and offsets from here on (4 GiB - 1 byte) need ZIP64 (4.4.8, 4.4.9, 4.4.16)."""

COUNT_LIMIT: Final = 0xFFFF
"""Numbers of entries from here on need ZIP64 (4.4.22)."""

LOCAL_SIZE: Final = 30
"""Bytes of a local header before its name (4.3.7)."""

LOCAL_EXTRA_SIZE: Final = 20
"""Bytes of the ZIP64 extra field of a local header: both sizes (4.5.3)."""

CENTRAL_SIZE: Final = 46
"""Bytes of a central directory record before its name (4.3.12)."""

END_SIZE: Final = 22
"""Bytes of the end of central directory record without a comment (4.3.16)."""

END64_SIZE: Final = 56
"""Bytes of the ZIP64 end of central directory record (4.3.14)."""

LOCATOR_SIZE: Final = 20
"""Bytes of the ZIP64 end of central directory locator (4.3.15)."""

LOCAL: Final = struct.Struct("<4s5H3L2H")
"""Local header: signature, version, flags, method, time, date, CRC, stored size, size, name and extra lengths."""

LOCAL_SIGNATURE: Final = b"PK\x03\x04"

CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
"""Central record: signature, made by, version, flags, method, time, date, CRC, stored size, size, name, extra and
comment lengths, disk, internal and external attributes, offset."""

CENTRAL_SIGNATURE: Final = b"PK\x01\x02"

END: Final = struct.Struct("<4s4H2LH")
"""End record: signature, disk, directory's disk, entries here, entries, directory's size and offset, comment length."""

END_SIGNATURE: Final = b"PK\x05\x06"

END64: Final = struct.Struct("<4sQ2H2L4Q")
"""ZIP64 end record: signature, size of the rest, made by, version, disks, entries here, entries,
directory's size and offset."""

END64_SIGNATURE: Final = b"PK\x06\x06"

LOCATOR: Final = struct.Struct("<4sLQL")
"""ZIP64 locator: signature, disk, offset of the ZIP64 end record, disks."""

LOCATOR_SIGNATURE: Final = b"PK\x06\x07"

EARLIEST: Final = 0x00210000
"""The DOS time (date in the upper 16 bits) of 1980-01-01 00:00:00, the earliest possible; also means "unknown"."""

_LATEST: Final = (127 << 25) | (12 << 21) | (31 << 16) | (23 << 11) | (59 << 5) | 29
_UTF8: Final = 0x0800
_STORED: Final = 0
_DEFLATED: Final = 8
_VERSION: Final = 20
_VERSION64: Final = 45
_MADE_BY: Final = (3 << 8) | _VERSION64
_FILE: Final = 0o100644 << 16
_FOLDER: Final = (0o040755 << 16) | 0x10
_EXTRA64: Final = 0x0001
_LOCAL_EXTRA: Final = struct.Struct("<2H2Q")


def dos_time(modified: datetime | None) -> int:
    """Return a time as ZIP stores it (4.4.6): UTC, two-second steps, date in the upper 16 bits, from 1980 to 2107."""
    if modified is None:
        return EARLIEST
    if modified.tzinfo is not None and modified.tzinfo is not UTC:
        try:
            modified = modified.astimezone(UTC)
        except OverflowError:  # a time in year 1 or 9999 that is in another year in UTC
            return EARLIEST if modified.year == 1 else _LATEST
    year = modified.year - 1980
    if year < 0:
        return EARLIEST
    if year > 127:
        return _LATEST
    return (
        (year << 25)
        | (modified.month << 21)
        | (modified.day << 16)
        | (modified.hour << 11)
        | (modified.minute << 5)
        | (modified.second >> 1)
    )


def local_header_at(
    name: bytes, crc32: int, size: int, stored_size: int, stamp: int, deflated: bool = False, zip64: bool = False
) -> bytes:
    """Return the local header of an entry, with its name (4.3.7); `stamp` is a `dos_time`.

    `zip64` forces the 8-byte sizes of large items.
    """
    method = _DEFLATED if deflated else _STORED
    time, date = stamp & 0xFFFF, stamp >> 16
    if zip64 or size >= LIMIT or stored_size >= LIMIT:
        fixed = LOCAL.pack(
            LOCAL_SIGNATURE, _VERSION64, _UTF8, method, time, date, crc32, LIMIT, LIMIT, len(name), LOCAL_EXTRA_SIZE
        )
        return fixed + name + _LOCAL_EXTRA.pack(_EXTRA64, 16, size, stored_size)
    return (
        LOCAL.pack(LOCAL_SIGNATURE, _VERSION, _UTF8, method, time, date, crc32, stored_size, size, len(name), 0) + name
    )


def central_record_at(
    name: bytes,
    crc32: int,
    size: int,
    stored_size: int,
    offset: int,
    stamp: int,
    deflated: bool = False,
    zip64: bool = False,
) -> bytes:
    """Return the central directory's record of the entry whose local header is at `offset` (4.3.12).

    `stamp` is a `dos_time`, `zip64` the same as for the header. A name that ends in "/" is recorded as a folder.
    """
    extra = b""
    if size >= LIMIT or stored_size >= LIMIT or offset >= LIMIT:
        wide = [value for value in (size, stored_size, offset) if value >= LIMIT]
        extra = struct.pack(f"<2H{len(wide)}Q", _EXTRA64, 8 * len(wide), *wide)
        size, stored_size, offset = min(size, LIMIT), min(stored_size, LIMIT), min(offset, LIMIT)
    return (
        CENTRAL.pack(
            CENTRAL_SIGNATURE,
            _MADE_BY,
            _VERSION64 if extra or zip64 else _VERSION,
            _UTF8,
            _DEFLATED if deflated else _STORED,
            stamp & 0xFFFF,
            stamp >> 16,
            crc32,
            stored_size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            _FOLDER if name.endswith(b"/") else _FILE,
            offset,
        )
        + name
        + extra
    )


def end_of_directory(entries: int, size: int, offset: int) -> bytes:
    """Return the end of a ZIP file whose central directory has `size` bytes at `offset` (4.3.14 to 4.3.16)."""
    end = END.pack(
        END_SIGNATURE,
        0,
        0,
        min(entries, COUNT_LIMIT),
        min(entries, COUNT_LIMIT),
        min(size, LIMIT),
        min(offset, LIMIT),
        0,
    )
    if entries < COUNT_LIMIT and size < LIMIT and offset < LIMIT:
        return end
    end64 = END64.pack(END64_SIGNATURE, END64_SIZE - 12, _MADE_BY, _VERSION64, 0, 0, entries, entries, size, offset)
    return end64 + LOCATOR.pack(LOCATOR_SIGNATURE, 0, offset + size, 1) + end
