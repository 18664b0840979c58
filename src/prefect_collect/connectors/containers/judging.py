"""Which entries of a ZIP file are read, by what its directory says of them together."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import Final

import numpy as np

from prefect_collect.archive.inflating import METHODS, SUPPORTED
from prefect_collect.archive.unsafe_names import unsafe
from prefect_collect.archive.zip_directory import ZipEntry
from prefect_collect.codes import Failure

STORED: Final = 0
"""The method of entries that are not compressed (4.4.5)."""

_ENCRYPTED: Final = 0x0041
"""The bits of the flags that say that an entry, or the directory's names, are encrypted (4.4.4)."""

_LAST: Final = (1 << 64) - 1
_MOST_RATIO: Final = 250
_LARGE: Final = 1 << 30
"""An entry that unpacks to more than 1 GiB, and to over 250 times its packed size, is no file that was exported."""


def conflicts(listed: Iterator[ZipEntry]) -> tuple[set[int], set[int]]:
    """Return the hashes of the names that several entries have, and the records of entries whose bytes overlap."""
    rows = array("Q")
    for entry in listed:
        end = min(entry.offset + entry.stored_size, _LAST)
        rows.extend((name_hash(entry), entry.at, entry.offset, end))
    table = np.frombuffer(rows, dtype=np.uint64).reshape(-1, 4)
    names, counts = np.unique(table[:, 0], return_counts=True)
    table = table[np.argsort(table[:, 2], kind="stable")]
    until = np.maximum.accumulate(table[:, 3])
    bad = np.zeros(len(table), dtype=bool)
    bad[1:] = table[1:, 2] < until[:-1]
    bad[:-1] |= bad[1:]
    return {int(name) for name in names[counts > 1]}, {int(at) for at in table[bad, 1]}


def name_hash(entry: ZipEntry) -> int:
    """Return the number by which an entry's name is compared with others."""
    name = entry.name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def failure_of(entry: ZipEntry, size: int, *, doubled: bool, overlaps: bool) -> Failure | None:
    """Return why an entry is not read; None if it is."""
    if entry.flags & _ENCRYPTED:
        return Failure("encrypted_entry", "The entry is encrypted")
    if (why := unsafe(entry.name)) is not None:
        return Failure("path_unsafe", f"The entry is not read, as {why}")
    if doubled:
        return Failure("unreadable_entry", "Several entries have this name, so that programs see different files there")
    if overlaps or entry.offset + entry.stored_size > size:
        return Failure("unreadable_entry", "Its bytes are also those of another entry, or lie outside of the file")
    if entry.method not in SUPPORTED:
        name = METHODS.get(entry.method, f"method {entry.method}")
        return Failure("unreadable_entry", f"It is compressed by {name}, which is not read")
    if entry.method == STORED and entry.size != entry.stored_size:
        return Failure("unreadable_entry", "The directory gives it two sizes")
    if entry.size > _LARGE and entry.size > _MOST_RATIO * entry.stored_size:
        what = f"It would unpack from {entry.stored_size:,} to {entry.size:,} bytes, as no exported file does"
        return Failure("unreadable_entry", what)
    return None
