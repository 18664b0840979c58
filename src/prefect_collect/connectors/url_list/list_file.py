"""The file of a list of URLs, and where in it each URL is: 16 bytes of memory a line."""

from __future__ import annotations

import io
import os
import threading
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.url_list.entries import LONGEST_LINE, BadLine, Entry, parse_line

_USUAL_LINE: Final = 2 << 10
_BUFFER: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not empty: its number, from 1, its place in the file, and what it describes or what is wrong."""

    number: int
    at: int
    entry: Entry | None
    wrong: str = ""


class ListFile:
    """A list that is open, with the places of its lines; several threads may use it.

    Args:
        file: The file, which stays open.
        place: The list's location, in which messages end.
    """

    def __init__(self, file: BinaryIO, place: str) -> None:
        self._file, self._place = file, place
        self.state = self._state()
        keys, places, numbers = array("Q"), array("Q"), array("Q")
        for line in self._parsed():
            if line.entry is not None:
                keys.append(_key(line.entry.id))
                places.append(line.at)
                numbers.append(line.number)
        self._keys = np.frombuffer(keys, np.uint64) if keys else np.zeros(0, np.uint64)
        self._places = np.frombuffer(places, np.uint64) if keys else np.zeros(0, np.uint64)
        self._numbers = np.frombuffer(numbers, np.uint64) if keys else np.zeros(0, np.uint64)
        self._sort()
        self._give_different_ids()
        self._lock = threading.Lock()
        self._paths: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]] | None = None
        self.require_unchanged()

    def lines(self) -> Iterator[Line]:
        """Yield the lines; one whose URL an earlier line has is wrong."""
        for line in self._parsed():
            entry = line.entry
            if entry is not None and not self._has(entry.id):
                entry = self._as_listed(entry)
            first = None if entry is None else self._first_of(entry.id)
            if first is None or first == line.number:
                yield line if entry is line.entry else replace(line, entry=entry)
            else:
                yield Line(line.number, line.at, None, f"has the same url as line {first}, of which it would be a copy")

    def find(self, item_id: str) -> Entry | None:
        """Return the entry of an item; None if the list has none."""
        found = next((entry for _, entry in self._lines_of(item_id, item_id)), None)
        if found is None and "#" in item_id:  # the other URLs, from which its id had to differ, are gone
            found = next((entry for _, entry in self._lines_of(item_id.partition("#")[0], item_id)), None)
        return found

    def named(self, path: str) -> Entry | None:
        """Return the entry of the first line whose item has that path, without copies; None if the list has none.

        The first call reads the list once more; then 16 bytes more of memory a line are in use.
        """
        with self._lock:
            keys, places = self._paths = self._paths or self._by_path()
        for row in _rows_of(keys, path):
            entry = self._entry_at(int(places[row]))
            if entry is not None and entry.path == path:
                return self._as_listed(entry)
        return None

    def _by_path(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return the keys of all paths, sorted, and the places of their lines."""
        found = array("Q")
        for line in self.lines():
            if line.entry is not None:
                found.extend((_key(line.entry.path), line.at))
        rows = np.array(found, np.uint64).reshape(-1, 2)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        return rows[:, 0].copy(), rows[:, 1].copy()

    def _as_listed(self, entry: Entry) -> Entry:
        """Return an entry with the id that the list gives it."""
        return replace(entry, id=next(filter(self._has, entry.ids), entry.id))

    def _has(self, item_id: str) -> bool:
        key = np.uint64(_key(item_id))
        row = int(np.searchsorted(self._keys, key))
        return row < len(self._keys) and bool(self._keys[row] == key)

    def _sort(self) -> None:
        order = np.argsort(self._keys, kind="stable")
        self._keys, self._places, self._numbers = self._keys[order], self._places[order], self._numbers[order]

    def _give_different_ids(self) -> None:
        """Give other ids to lines that have one id and different URLs."""
        for level in (1, 2):
            same = np.flatnonzero(self._keys[1:] == self._keys[:-1])
            keys = self._keys.copy()
            for begin in same[np.diff(same, prepend=-2) != 1].tolist():
                rows = range(begin, int(np.searchsorted(self._keys, self._keys[begin], side="right")))
                url = self._url_of(begin)
                if any(self._url_of(row) != url for row in rows):
                    for row in rows:
                        if (entry := self._entry_of(row)) is not None:
                            keys[row] = _key(entry.ids[: level + 1][-1])
            self._keys = keys
            self._sort()

    def _first_of(self, item_id: str) -> int | None:
        """Return the number of the first line with that id, if there may be several; None if not."""
        key = np.uint64(_key(item_id))
        row = int(np.searchsorted(self._keys, key))
        if row + 1 >= len(self._keys) or self._keys[row + 1] != key:
            return None
        return next((number for number, _ in self._lines_of(item_id, item_id)), None)

    def require_unchanged(self) -> None:
        """Raise SourceError if the file was written to since it was opened."""
        if self._state() != self.state:
            what = "The list was written to while it was read; collect when nothing writes to it"
            raise source_error("enumeration_failed", what, self._place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _state(self) -> tuple[int, ...]:
        status = os.fstat(self._file.fileno())
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _lines_of(self, listed_id: str, item_id: str) -> Iterator[tuple[int, Entry]]:
        """Yield number and entry of the lines that are listed by an id and may have the other one, in their order."""
        for row in _rows_of(self._keys, listed_id):
            entry = self._entry_of(row)
            if entry is not None and item_id in entry.ids:
                yield int(self._numbers[row]), replace(entry, id=item_id)

    def _entry_of(self, row: int) -> Entry | None:
        """Return what the line of a row describes; None if the file was changed."""
        return self._entry_at(int(self._places[row]))

    def _entry_at(self, at: int) -> Entry | None:
        data = self._line_at(at)
        try:
            return parse_line(data.removeprefix(_BOM) if at == 0 else data)
        except BadLine:
            return None

    def _url_of(self, row: int) -> str:
        entry = self._entry_of(row)
        return "" if entry is None else entry.url

    def _line_at(self, at: int) -> bytes:
        """Return a line's bytes; most lines are short."""
        for size in (_USUAL_LINE, LONGEST_LINE + 1):
            data, is_whole, _ = os.pread(self._file.fileno(), size, at).partition(b"\n")
            if is_whole:
                break
        return data

    def _parsed(self) -> Iterator[Line]:
        for number, at, data in self._raw():
            try:
                yield Line(number, at, parse_line(data))
            except BadLine as error:
                yield Line(number, at, None, str(error))

    def _raw(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield number, place and bytes of the lines that are not empty; of one that is too long, its beginning."""
        with io.BufferedReader(_FromStart(self._file.fileno()), _BUFFER) as file:
            number = at = 0
            while data := file.readline(LONGEST_LINE + 1):
                number += 1
                begin, at = at, at + len(data)
                while not data.endswith(b"\n") and len(data) > LONGEST_LINE and (more := file.readline(LONGEST_LINE)):
                    at += len(more)
                    if more.endswith(b"\n"):
                        break
                text = (data.removeprefix(_BOM) if begin == 0 else data).rstrip(b"\r\n")
                if text.strip():
                    yield number, begin, text


class _FromStart(io.RawIOBase):
    """A file that is open elsewhere, read from its start without moving the place where others read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into the buffer; return their number, 0 at the end."""
        number = os.preadv(self._descriptor, [buffer], self._at)
        self._at += number
        return number


def _rows_of(keys: npt.NDArray[np.uint64], text: str) -> Iterator[int]:
    """Yield the rows of sorted keys that have the key of a text."""
    key = np.uint64(_key(text))
    row = int(np.searchsorted(keys, key))
    while row < len(keys) and keys[row] == key:
        yield row
        row += 1


def _key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
