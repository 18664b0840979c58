"""Reads the headers of a TAR file that others may have written, from its start to its end, within bounds.

Python's tarfile reads headers as large as a file says they are (a pax header that compresses to 261 KB makes it use
815 MB), follows links, and ends in silence at a damaged header; here each of these is a problem.
ustar, pax (POSIX.1-2017) and GNU tar's own headers are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.tar import BLOCK, FIELDS, FILE, FOLDER, PAX, checksums, end_after, header_of

WHOLE: Final = "package"
"""What problems of the file as a whole are about."""

_LARGEST: Final = 1 << 53
_LONGEST_HEADER: Final = 1 << 20
"""The most bytes of the extended headers of one entry."""

_LONGEST_END: Final = 1 << 20
"""The most zeros after the last entry: tape drives have blocks of up to as many bytes."""

_HOP: Final = 64 << 10
"""Bytes that are read at a header after a large entry."""

_GLOBAL: Final = b"g"
_LONG_NAME: Final = b"L"
_EXTENDED: Final = (PAX, _GLOBAL, _LONG_NAME, b"K")
_PLAIN: Final = (FILE, b"\0", b"7")
_EMPTY: Final = (b"1", b"2", b"3", b"4", FOLDER, b"6")
"""Types whose entries have no bytes."""

_WHAT: Final = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe",
    b"S": "a sparse file",
}  # fmt: skip
_DECIDING: Final = ("path", "size", "GNU.sparse.name", "GNU.sparse.realsize")
_OCTAL: Final = re.compile(rb" *([0-7]*)[ \0]*")
_LENGTH: Final = re.compile(rb"([1-9]\d{0,7}) ")
_SIZE: Final = re.compile(rb"\d{1,19}")


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry.

    Attributes:
        name: Its name; that of a folder ends in "/".
        size: Its bytes.
        offset: Where they begin.
        time: When it was modified, in seconds since 1970.
        is_folder: True if it is a folder.
        what: What it is, if it is neither a folder nor a file whose bytes stand there; else "".
        special_rights: True if it asks for set-user-ID, set-group-ID or sticky rights.
    """

    name: str
    size: int
    offset: int
    time: int
    is_folder: bool
    what: str
    special_rights: bool


def is_tar(block: bytes) -> bool:
    """Return whether a TAR file begins with these 512 bytes: a header whose checksum is right."""
    return len(block) == BLOCK and _is_header(block)


@dataclass(slots=True)
class TarReader:
    """Reads a TAR file once from its start to its end.

    Attributes:
        source: The file's bytes.
        problems: Gets what makes any package invalid.
        tolerated: Gets what does no harm.
        form: Gets what differs from how it is written here.
    """

    source: Bytes
    problems: Problems
    tolerated: Problems
    form: Problems
    _start: int = 0
    _data: bytes = b""
    _step: int = 0

    def entries(self) -> Iterator[TarEntry]:
        """Yield all entries. Raise Damaged if what follows cannot be read."""
        position, unused, last = 0, 0, ""
        while True:
            block = self._read(position, unused + BLOCK)
            self._check_unused(block[:unused], last)
            position, block = position + unused, block[unused:]
            if len(block) < BLOCK:
                self._report_cut(position - unused, position, last)
                return
            if block == bytes(BLOCK):
                self._check_end(position)
                return
            extended = _Extended()
            position, block = self._extended(position, block, extended)
            entry, position = self._entry(position, block, extended)
            unused, last = -position % BLOCK, entry.name
            self._step = _HOP if entry.size > _HOP else 0
            if entry.name:
                yield entry

    def _read(self, start: int, size: int) -> bytes:
        at = start - self._start
        if at < 0 or at + size > len(self._data):
            self._data = self.source.read(start, start + max(size, self._step or self.source.window))
            self._start, at = start, 0
        return self._data[at : at + size]

    def _extended(self, position: int, block: bytes, into: _Extended) -> tuple[int, bytes]:
        """Read the extended headers before an entry; return the place of its own header, and that."""
        while True:
            if not _is_header(block):
                raise Damaged(f"at byte {position:,} there is no header, so that nothing after it can be read")
            kind = block[156:157]
            if kind not in _EXTENDED:
                return position, block
            size = _number(block[124:136])
            if len(into.raw) + size > _LONGEST_HEADER:
                raise Damaged(f"at byte {position:,} a header states {size:,} bytes, more than any has")
            whole = self._read(position, BLOCK + size + -size % BLOCK + BLOCK)
            if len(whole) < 2 * BLOCK + size:
                raise Damaged("it ends within a header")
            self._take(kind, whole[BLOCK : BLOCK + size], into)
            into.raw += whole[:-BLOCK]
            position, block = position + len(whole) - BLOCK, whole[-BLOCK:]

    def _take(self, kind: bytes, data: bytes, into: _Extended) -> None:
        if kind == _LONG_NAME:
            into.values["path"] = data.partition(b"\0")[0]
        if kind not in (PAX, _GLOBAL):
            return
        for key, value in _records(data):
            if kind == _GLOBAL and key in _DECIDING:
                into.odd.append(f"a header states one {key} for all entries, which programs read in different ways")
            elif kind == _GLOBAL and key not in ("comment", "charset", "hdrcharset"):
                self.tolerated.add(WHOLE, f"a header states {key[:80]} for all entries, which is not looked at")
            elif kind == PAX:
                if key in _DECIDING and key in into.values:
                    into.odd.append(f"its header states {key} more than once, which programs read in different ways")
                into.values[key] = value

    def _entry(self, position: int, block: bytes, extended: _Extended) -> tuple[TarEntry, int]:
        """Return the entry whose header this is, and where its bytes end."""
        fields, values = FIELDS.unpack(block), extended.values
        kind, size, time = fields[7], _number(fields[4]), _number(fields[5])
        if "size" in values:
            if _SIZE.fullmatch(values["size"]) is None:
                raise Damaged(f"at byte {position:,} a header states a size that is no number")
            size = int(values["size"])
        if not 0 <= size <= _LARGEST:
            raise Damaged(f"at byte {position:,} a header states an impossible size")
        name = _name(fields, values)
        is_folder = kind == FOLDER or (kind == b"\0" and name.endswith("/"))
        what = "" if is_folder or kind in _PLAIN else _WHAT.get(kind, "of a type that is no file's")
        if any(key.startswith("GNU.sparse.") for key in values):
            what = "a sparse file"
        if is_folder and name and not name.endswith("/"):
            name += "/"
        offset, end = position + BLOCK, position + BLOCK
        if kind not in _EMPTY:
            end += size
        elif size:
            extended.odd.append("it states bytes, which its type does not have: programs differ in what follows it")
        if name.endswith("/") and not is_folder:
            extended.odd.append("by its type it is a file, by its name a folder")
        for odd in extended.odd:
            self.problems.add(name or WHOLE, odd)
        entry = TarEntry(name, end - offset, offset, time, is_folder, what, bool(_number(fields[1]) & 0o7000))
        self._check_form(entry, extended.raw + block)
        return entry, end

    def _check_form(self, entry: TarEntry, raw: bytes) -> None:
        is_possible = 0 <= entry.time < 8**11
        if not is_possible or raw != header_of(entry.name, entry.size, entry.time, FOLDER if entry.is_folder else FILE):
            self.form.add(entry.name or WHOLE, "its header is not as it was written")

    def _check_unused(self, unused: bytes, name: str) -> None:
        if unused.strip(b"\0"):
            self.form.add(name or WHOLE, "there are bytes after it that belong to nothing")

    def _report_cut(self, end: int, position: int, last: str) -> None:
        if self.source.size < end:
            self.problems.add(WHOLE, f"it ends within an entry, so it was cut off [{last}]")
        elif self.source.size > position:
            self.problems.add(WHOLE, "it ends within a header, so it was cut off")
        else:
            self.tolerated.add(WHOLE, "it ends without the two empty blocks that end a TAR file, so it may be cut off")

    def _check_end(self, position: int) -> None:
        self._step = _LONGEST_END + BLOCK
        rest = self._read(position, _LONGEST_END + 1)
        if len(rest) > _LONGEST_END or rest.strip(b"\0"):
            self.problems.add(WHOLE, "there are bytes after the end of the archive, in which programs may find files")
        elif len(rest) < 2 * BLOCK:
            self.tolerated.add(WHOLE, "it ends with one empty block instead of two, so it may be cut off")
        elif len(rest) != len(end_after(position)):
            self.form.add(WHOLE, "its end is not as it was written")


@dataclass(slots=True)
class _Extended:
    """What extended headers state of the next entry, and their bytes."""

    values: dict[str, bytes] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    raw: bytes = b""


def _is_header(block: bytes) -> bool:
    found = _OCTAL.fullmatch(block[148:156])
    return found is not None and bool(found[1]) and int(found[1], 8) in checksums(block)


def _number(text: bytes) -> int:
    """Return a number in octal digits, or as GNU tar writes large ones; -1 for anything else."""
    if text[0] in (0x80, 0xFF):
        return int.from_bytes(text[1:], "big") if text[0] == 0x80 else -1
    found = _OCTAL.fullmatch(text)
    return -1 if found is None else int(found[1] or b"0", 8)


def _name(fields: tuple[bytes, ...], values: dict[str, bytes]) -> str:
    """Return an entry's name, without the "./" that archivers put before names."""
    raw = values.get("GNU.sparse.name") or values.get("path")
    if raw is None:
        raw, prefix = fields[0].partition(b"\0")[0], fields[15].partition(b"\0")[0]
        if prefix and fields[9] == b"ustar\0":
            raw = prefix + b"/" + raw
    name = raw.decode("utf-8", "surrogateescape")
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the records of a pax header. Raise Damaged."""
    at = 0
    while at < len(data):
        found = _LENGTH.match(data, at)
        end = at + int(found[1]) if found is not None else 0
        if found is None or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise Damaged("a pax header is malformed, so that nothing after it can be read")
        key, equals, value = data[found.end() : end - 1].partition(b"=")
        if not equals or not key:
            raise Damaged("a pax header is malformed, so that nothing after it can be read")
        yield key.decode("utf-8", "replace"), value
        at = end
