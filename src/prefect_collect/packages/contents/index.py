"""The files of a package, and what its lists state about them, in a temporary database.

The memory that verifying takes therefore does not grow with the number of files in a package.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from prefect_collect.errors import PackageError
from prefect_collect.packages.contents.name_keys import bounds, fold, folded, pack, packed, unpack
from prefect_collect.packages.contents.repeats import Repeats

_CACHE: Final = 16 << 10
"""KiB that the database keeps in memory before it writes to its temporary file."""

_AT_ONCE: Final = 500
"""Names in one query: SQLite before 3.32 takes 999 parameters."""

_WORTHWHILE: Final = 32
"""The fewest names that are looked for in the order of the files; fewer are looked up one by one."""

_LUCK: Final = 8
"""How often names may be out of the files' order before that order is no longer tried."""

COLUMNS: Final = "number, name, size, method, stamp, crc32, stored_size, offset, raw"
"""The columns of a file, as `entry_of` takes them."""


@dataclass(slots=True)
class Entry:
    """One file. All fields but number, name and size are of ZIP entries; `raw` is the name if it is not UTF-8."""

    number: int
    name: str
    size: int
    method: int = 0
    stamp: int = 0
    crc32: int = 0
    stored_size: int = 0
    offset: int = 0
    raw: bytes | None = None

    def row(self) -> tuple[Any, ...]:
        """Return the row of the file in the database."""
        return (
            self.number, *packed(self.name), self.size, self.method, self.stamp, self.crc32, self.stored_size,
            self.offset, self.raw,
        )  # fmt: skip


class FileIndex:
    """The files by name and by number, and the digests that manifests list for them; used by one thread."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._waiting_bytes, self._is_folded = 0, False
        self._highest: dict[int, int] = {}
        self._next, self._luck = 0, _LUCK
        self.lengths: dict[int, int] = {}
        """How many files each list has."""
        self.has_alike = True
        """Whether files may have names that differ only in case and Unicode form; known after `finish`."""
        # An empty name: a database that is written to the temporary folder once it outgrows its cache.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for line in (
            "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", f"PRAGMA cache_size = -{_CACHE}",
            "CREATE TABLE file(number INTEGER PRIMARY KEY, name BLOB, fold INTEGER, size INTEGER, method INTEGER,"
            " stamp INTEGER, crc32 INTEGER, stored_size INTEGER, offset INTEGER, raw BLOB)",
            "CREATE TABLE listed(list INTEGER, number INTEGER, digest BLOB, PRIMARY KEY (list, number)) WITHOUT ROWID",
            "CREATE TABLE double(number INTEGER PRIMARY KEY)",
            "BEGIN",
        ):  # fmt: skip
            self._database.execute(line)
        self._folds = Repeats(self._database, "folds")
        self.ids = Repeats(self._database, "ids")
        """Python's hashes of the ids in the list of items."""
        self.hashes = partial(Repeats, self._database)  # a new table, by its name

    def close(self) -> None:
        """Remove the database."""
        self._database.close()

    def add(self, entry: Entry) -> None:
        """Add a file. Files are numbered from 0 in their order; folders have names that end in "/"."""
        row = entry.row()
        self._waiting.append(row)
        self._waiting_bytes += len(row[1])
        self.count += 1
        if len(self._waiting) >= 1000 or self._waiting_bytes > 1 << 20:
            self.flush()

    def flush(self) -> None:
        """Write the rows that were added."""
        self._database.executemany("INSERT INTO file VALUES (?,?,?,?,?,?,?,?,?,?)", self._waiting)
        self._folds.add([row[2] for row in self._waiting])
        self._waiting, self._waiting_bytes = [], 0

    def finish(self) -> None:
        """End the adding of files: they can then be found by name."""
        self.flush()
        self._database.execute("CREATE INDEX by_name ON file(name)")
        self.has_alike = bool(self._folds.repeated(1))

    def query(self, text: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        return iter(self._database.execute(text, values))

    def change(self, text: str, *values: Any) -> None:
        """Run a statement that changes the database."""
        self._database.execute(text, values)

    def next_folder(self, after: int) -> tuple[int, str] | None:
        """Return number and name of the next folder; usable while files are still added."""
        if self._waiting:
            self.flush()
        rows = self.query(
            "SELECT number, name FROM file WHERE number > ? AND substr(name, -1) = CAST('/' AS BLOB) ORDER BY number"
            " LIMIT 1",
            after,
        )
        return next(((number, unpack(name)) for number, name in rows), None)

    def find(self, name: str) -> Entry | None:
        """Return the first file of that name."""
        rows = self.query(f"SELECT {COLUMNS} FROM file WHERE name = ? ORDER BY number LIMIT 1", pack(name))
        return next((entry_of(row) for row in rows), None)

    def named(self, wanted: str) -> Iterator[str]:
        """Yield the names, with their folders, of all files that are called so."""
        rows = self.query("SELECT name FROM file WHERE substr(name, ?) = ?", -len(wanted.encode()), wanted.encode())
        return (name for row in rows if f"/{(name := unpack(row[0]))}".endswith(f"/{wanted}"))

    def top(self) -> Iterator[str]:
        """Yield the names of the files that are in no folder."""
        return (
            unpack(name) for (name,) in self.query("SELECT name FROM file WHERE instr(name, CAST('/' AS BLOB)) = 0")
        )

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of every file."""
        return ((unpack(name), size) for name, size in self.query("SELECT name, size FROM file ORDER BY number"))

    def offset_after(self, entry: Entry) -> int | None:
        """Return the offset of the entry after this one; None if it is the last."""
        rows = self.query("SELECT offset FROM file WHERE number = ?", entry.number + 1)
        return next((int(row[0]) for row in rows), None)

    def find_all(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return number and size of those of the files that exist, by name."""
        found: dict[str, tuple[int, int]] = {}
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            wanted = [pack(name) for name in some]
            if len(wanted) >= _WORTHWHILE and self._luck and not self.has_alike:
                found.update(self._find_next(some, wanted))
                wanted = [key for name, key in zip(some, wanted, strict=True) if name not in found]
            if wanted:
                found.update(self._find_each(wanted))
        return found

    def _find_each(self, wanted: Sequence[bytes]) -> dict[str, tuple[int, int]]:
        """Do as `find_all` for at most _AT_ONCE names, one by one; of files with the same name the first counts."""
        found: dict[str, tuple[int, int]] = {}
        marks = ",".join("?" * len(wanted))
        for name, number, size in self.query(f"SELECT name, number, size FROM file WHERE name IN ({marks})", *wanted):
            text = unpack(name)
            if text not in found or number < found[text][0]:
                found[text] = number, size
        if found:
            self._next = 1 + max(number for number, _ in found.values())
        return found

    def _find_next(self, names: Sequence[str], wanted: Sequence[bytes]) -> dict[str, tuple[int, int]]:
        """Do as `find_all` for unique names of the next files, because lists have the order of the files."""
        rows = self.query(
            "SELECT name, number, size FROM file WHERE number >= ? ORDER BY number LIMIT ?", self._next, len(wanted)
        )
        following = {name: (number, size) for name, number, size in rows}
        found = {
            name: place for name, key in zip(names, wanted, strict=True) if (place := following.get(key)) is not None
        }
        if 2 * len(found) < len(wanted):
            self._luck -= 1
        else:
            self._luck = _LUCK
            self._next += len(following)
        return found

    def alike(self, name: str) -> list[str]:
        """Return the names of files that differ from this one at most in case and in Unicode form."""
        if not self._is_folded:
            self._database.execute("CREATE INDEX by_fold ON file(fold)")
            self._is_folded = True
        rows = self.query("SELECT name FROM file WHERE fold = ? LIMIT 20", fold(name))
        wanted = folded(name)
        return [text for row in rows if folded(text := unpack(row[0])) == wanted]

    def has_below(self, folder: str) -> bool:
        """Return whether that folder (its name ends in "/") exists, or a file in it."""
        low, high = bounds(folder)
        return any(True for _ in self.query("SELECT 1 FROM file WHERE name >= ? AND name < ? LIMIT 1", low, high))

    def list_digests(self, of: int, rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes, bytes]]:
        """Store the digests that a list has for files; return number, old and new digest of files it had already."""
        fresh: dict[int, bytes] = {}
        doubled: list[tuple[int, bytes, bytes]] = []
        for number, digest in rows:
            if number in fresh:
                doubled.append((number, fresh[number], digest))
            else:
                fresh[number] = digest
        # Lists mostly have the order of the files, and then none of these can have been there before.
        if fresh and min(fresh) <= self._highest.get(of, -1):
            known = self.digests(of, list(fresh))
            doubled += [(number, digest, fresh.pop(number)) for number, digest in known.items()]
        self._highest[of] = max(self._highest.get(of, -1), *fresh, -1)
        self.lengths[of] = self.lengths.get(of, 0) + len(fresh)
        self._database.executemany(
            "INSERT INTO listed VALUES (?,?,?)", ((of, number, digest) for number, digest in fresh.items())
        )
        return doubled

    def digests(self, of: int, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return what a list has for these files."""
        found: dict[int, bytes] = {}
        if numbers and max(numbers) - min(numbers) < 4 * len(numbers):
            query = "SELECT number, digest FROM listed WHERE list = ? AND number BETWEEN ? AND ?"
            every = dict(self.query(query, of, min(numbers), max(numbers)))
            return {number: every[number] for number in numbers if number in every}
        for start in range(0, len(numbers), _AT_ONCE):
            wanted = numbers[start : start + _AT_ONCE]
            marks = ",".join("?" * len(wanted))
            found.update(
                self.query(f"SELECT number, digest FROM listed WHERE list = ? AND number IN ({marks})", of, *wanted)
            )
        return found

    def unlisted(self, folder: str, lists: Sequence[int], *, inside: bool = True) -> Iterator[str]:
        """Yield files below a folder (or, not `inside`, outside of it) that none of these lists has."""
        low, high = bounds(folder)
        where = "name >= ? AND name < ?" if inside else "NOT (name >= ? AND name < ?)"
        marks = ",".join("?" * len(lists))
        rows = self.query(
            f"SELECT name FROM file WHERE {where} AND NOT EXISTS (SELECT 1 FROM listed WHERE list IN ({marks})"
            " AND listed.number = file.number) AND number NOT IN (SELECT number FROM double) ORDER BY number",
            low, high, *lists,
        )  # fmt: skip
        return (name for row in rows if not (name := unpack(row[0])).endswith("/"))


@contextmanager
def temporary_index() -> Iterator[FileIndex]:
    """Yield an index that is removed at the end. Raise PackageError if it cannot be written."""
    try:
        index = FileIndex()
        try:
            yield index
        finally:
            index.close()
    except sqlite3.Error as error:
        raise PackageError(
            f"The names in the package cannot be written to a temporary file ({error}); free space in the temporary "
            "folder, or set TMPDIR to another one. [temporary file]"
        ) from error


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Return the file of a row of `COLUMNS`."""
    return Entry(row[0], unpack(row[1]), *row[2:])
