"""Which rows of an export's lists mean which of its files.

A list may name more or fewer of the folders in which a file lies. So within each list the row that fits best counts:
one that is exactly the file's path; then the one that names the most of its folders; last one that names more folders
than the file has, if no other row does and no other file fits that row better.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from prefect_collect.connectors.mail import texts

_MOST_FOLDERS: Final = 32
"""The folders around a file by which it is distinguished from others of its name."""

_FEW: Final = 50
"""The rows with more folders that are looked at; with more than one of a list, none can be told to mean the file."""

SCHEMA: Final = """
CREATE TABLE files (path TEXT PRIMARY KEY, back TEXT) WITHOUT ROWID;
CREATE INDEX files_by_end ON files (back);
"""


def normal(path: str) -> str:
    """Return a path in the form in which paths are compared."""
    return texts.storable(path.replace("\\", "/").strip("/"))


def back(path: str) -> str:
    """Return a path from its end to its begin: paths with the same end then begin alike, which an index finds."""
    return path[::-1]


def is_named(path: str, name: str) -> bool:
    """Return whether a list means a file: it may name more or fewer of the folders that the file lies in."""
    path, name = normal(path), normal(name)
    return path == name or path.endswith(f"/{name}") or name.endswith(f"/{path}")


class Paths:
    """The files of an export, and which rows of its lists mean them.

    Args:
        database: The database with the table `files`, and tables of rows with the columns `list`, `key` (`normal`) and
            `back` (the key, from its end).
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, path: str) -> None:
        """Add a file that is there."""
        path = normal(path)
        self._database.execute("INSERT OR IGNORE INTO files VALUES (?, ?)", [path, back(path)])

    def named(self, table: str, path: str) -> list[tuple[int, str]]:
        """Return the lists and keys of the rows of a table that mean a file, those that name the most folders first."""
        path = normal(path)
        ends = _ends(path)
        marks = ", ".join("?" * len(ends))
        query = f"SELECT DISTINCT list, key FROM {table} WHERE key IN ({marks}) ORDER BY list, length(key) DESC"
        found: dict[int, str] = {}
        for number, keys in groupby(self._database.execute(query, ends).fetchall(), itemgetter(0)):
            own = next((key for _, key in keys if key == path or not self._is_file(key)), None)
            if own is not None:
                found[number] = own
        for number, key in self._longer(table, path):
            found.setdefault(number, key)
        return sorted(found.items(), key=lambda row: -len(row[1]))

    def _longer(self, table: str, path: str) -> Iterator[tuple[int, str]]:
        """Yield the rows that name more folders than the file has, of each list the only one."""
        query = f"SELECT DISTINCT list, key FROM {table} WHERE back > ? AND back < ? ORDER BY list LIMIT {_FEW}"
        rows = self._database.execute(query, _within(f"/{path}")).fetchall()
        for number, some in groupby(rows, itemgetter(0)):
            first, *others = (key for _, key in some)
            if not others and len(rows) < _FEW and self._best_of(first) == path:
                yield number, first

    def _best_of(self, key: str) -> str | None:
        """Return the file that fits a row best; None if it is one that lies in more folders than the row names."""
        query = "SELECT 1 FROM files WHERE back > ? AND back < ? LIMIT 1"
        if self._database.execute(query, _within(f"/{key}")).fetchone() is not None:
            return None
        ends = _ends(key)
        marks = ", ".join("?" * len(ends))
        query = f"SELECT path FROM files WHERE path IN ({marks}) ORDER BY length(path) DESC LIMIT 1"
        found = self._database.execute(query, ends).fetchone()
        return None if found is None else str(found[0])

    def _is_file(self, path: str) -> bool:
        return self._database.execute("SELECT 1 FROM files WHERE path = ?", [path]).fetchone() is not None


def _ends(path: str) -> list[str]:
    """Return a path, and its ends with fewer and fewer folders."""
    parts = path.split("/")
    return [path, *("/".join(parts[at:]) for at in range(max(1, len(parts) - _MOST_FOLDERS), len(parts)))]


def _within(end: str) -> list[Any]:
    """Return the bounds of the column `back` for the paths that end so."""
    return [back(end), f"{back(end)}\U0010ffff"]
