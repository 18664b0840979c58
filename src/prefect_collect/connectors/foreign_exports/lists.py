"""What the lists of an export say, in a temporary database on disk, so that memory does not grow with the export."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.mail import texts
from prefect_collect.sources import Item

_MOST_METADATA: Final = 48 << 10
"""Characters of a document's metadata; the rest of an item's 64 KiB is for its message's own."""

_MOST_FOLDERS: Final = 32
"""The folders around a file by which it is told from others of its name."""

_SCHEMA: Final = """
CREATE TABLE documents (number INTEGER PRIMARY KEY, name TEXT, list TEXT, metadata TEXT, keyed INTEGER, seen INTEGER);
CREATE TABLE keys (kind TEXT, key TEXT, name TEXT, document INTEGER);
CREATE INDEX by_key ON keys (key);
CREATE INDEX by_base ON keys (name);
CREATE TABLE reports (id TEXT, path TEXT, code TEXT, message TEXT);
CREATE TABLE told (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key));
CREATE TABLE checksums (key TEXT, name TEXT, algorithm TEXT, digest TEXT, seen INTEGER);
CREATE INDEX by_path ON checksums (key);
CREATE INDEX by_name ON checksums (name);
"""


@dataclass(frozen=True, slots=True)
class Document:
    """What a list says of one item of the export.

    Attributes:
        name: What it is called in messages: its file's name, or its id.
        files: The names or paths of the files that hold it; one of them is enough.
        messages: The ids by which a message is found in an mbox file.
        metadata: What the list says about it.
    """

    name: str
    files: tuple[str, ...]
    messages: tuple[str, ...]
    metadata: Mapping[str, Any]
    digests: tuple[tuple[str, str, str], ...] = ()
    """Checksums of its files: names, algorithms, hex digests."""


class Lists:
    """What the lists of an export promise, and what of that was seen. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.execute("PRAGMA cache_size = -8192")
        self._database.execute("BEGIN")
        self.promised = self.checksums = self.counted = self.messages = 0
        """How many items and checksums the lists state, how many messages they count, and how many were seen."""
        self.holds_pst = False
        self.is_whole = True
        """False if not all files were looked at, so that nothing can be said to be missing."""

    def add(self, documents: Iterable[Document], source: str) -> None:
        """Add what a list promises; `source` is the list's path."""
        for document in documents:
            self.promised += 1
            number = self.promised
            keys = [("message", key, "", number) for key in document.messages if key]
            keys += [("file", _normal(key), base_name(key), number) for key in document.files if key]
            row = (number, document.name, source, _bounded(document.metadata), bool(document.messages), False)
            with self._lock:
                self._database.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", row)
                self._database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", keys)
            self.add_checksums(document.digests, is_promise=False)

    def add_checksums(self, checksums: Iterable[tuple[str, str, str]], *, is_promise: bool = True) -> None:
        """Add checksums: names of files, algorithms and hex digests. If they promise it, each file has to be there."""
        for name, algorithm, digest in checksums:
            self.checksums += 1
            with self._lock:
                row = (_normal(name), base_name(name), algorithm, digest.lower(), not is_promise)
                self._database.execute("INSERT INTO checksums VALUES (?, ?, ?, ?, ?)", row)

    def report(self, item: Item) -> None:
        """Keep an item that failed, which is listed after the files."""
        assert item.failure is not None
        with self._lock:
            row = (item.id, item.path, item.failure.code, item.failure.message)
            self._database.execute("INSERT INTO reports VALUES (?, ?, ?, ?)", row)

    def reports(self) -> Iterator[Item]:
        """Yield the items that `report` kept."""
        for id_, path, code, message in self._rows("SELECT id, path, code, message FROM reports ORDER BY rowid"):
            yield Item(id_, path, failure=Failure(code, message))

    def tell(self, kind: str, key: str, value: str) -> None:
        """Keep something that a list says, such as a user's name."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", [kind, key, value])

    def told(self, kind: str, key: str) -> str:
        """Return what `tell` kept; "" if nothing."""
        found = self._first("SELECT value FROM told WHERE kind = ? AND key = ?", [kind, key])
        return "" if found is None else str(found[0])

    def saw_file(self, path: str, *, holds_messages: bool = False) -> None:
        """Note that a file is there. One that holds messages does not stand for documents that are messages in it."""
        self.holds_pst = self.holds_pst or path.lower().endswith(".pst")
        where, values = _about(path)
        more = " AND NOT keyed" if holds_messages else ""
        documents = f"SELECT document FROM keys WHERE kind = 'file' AND {where}"
        with self._lock:
            self._database.execute(f"UPDATE documents SET seen = 1 WHERE number IN ({documents}){more}", values)
            self._database.execute(f"UPDATE checksums SET seen = 1 WHERE {where}", values)

    def saw_message(self, keys: Iterable[str]) -> None:
        """Note that a message is there. An id may be the name of a document's file, too, as Google Chat's are."""
        with self._lock:
            self.messages += 1
            self._database.executemany(
                "UPDATE documents SET seen = 1 WHERE number IN (SELECT document FROM keys WHERE key = ?)",
                [(key,) for key in keys if key],
            )

    def _rows_about(self, columns: str, table: str, path: str) -> list[Any]:
        """Return the rows about a file, those that name the most of its folders first."""
        where, values = _about(path)
        query = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY length(key) DESC LIMIT 1"
        return self._database.execute(query, values).fetchall()

    def is_file(self, path: str) -> bool:
        """Return whether a list names a file as one of the items."""
        with self._lock:
            return bool(self._rows_about("document", "keys", path))

    def checksum(self, path: str) -> tuple[str, bytes] | None:
        """Return the algorithm and the digest that a list states for a file; None if none does."""
        with self._lock:
            found = self._rows_about("algorithm, digest", "checksums", path) if self.checksums else []
        return (found[0][0], bytes.fromhex(found[0][1])) if found else None

    def metadata(self, files: Iterable[str], messages: Iterable[str] = ()) -> dict[str, Any]:
        """Return what the lists say of an item, by the names of its file or message; {} if nothing."""
        with self._lock:
            found: list[Any] = []
            for key in filter(None, messages):
                found += self._database.execute("SELECT document FROM keys WHERE key = ? LIMIT 1", [key]).fetchall()
            for path in files:
                found += self._rows_about("document", "keys", path)
            for number in found[:1]:
                query = "SELECT metadata FROM documents WHERE number = ?"
                metadata: dict[str, Any] = json.loads(self._database.execute(query, number).fetchone()[0])
                return metadata
        return {}

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield the documents that were not seen, and the files of which only a checksum was: names and lists."""
        # Messages in PST files cannot be told apart, so none of them can be said to be missing.
        but = " AND NOT keyed" if self.holds_pst else ""
        yield from self._rows(f"SELECT name, list FROM documents WHERE NOT seen{but} ORDER BY number")
        if not self.promised and self.counted > self.messages and not self.holds_pst:
            yield f"{self.counted - self.messages:,} messages", "the list of counts"
        yield from self._rows("SELECT key, '' FROM checksums WHERE NOT seen ORDER BY rowid")

    def _rows(self, query: str) -> Iterator[Any]:
        at = 0
        while True:
            with self._lock:
                rows = self._database.execute(f"{query} LIMIT 1000 OFFSET ?", [at]).fetchall()
            yield from rows
            at += len(rows)
            if len(rows) < 1000:
                return

    def _first(self, query: str, values: list[str]) -> Any:
        with self._lock:
            return self._database.execute(query, values).fetchone()


def _normal(path: str) -> str:
    return path.replace("\\", "/").strip("/")


def _about(path: str) -> tuple[str, list[Any]]:
    """Return a condition for the rows about a file: a list may name more or fewer of the folders that it lies in."""
    path = _normal(path)
    parts = path.split("/")[-_MOST_FOLDERS:]
    ends = ["/".join(parts[at:]) for at in range(len(parts))]
    marks = ", ".join("?" * len(ends))
    return f"(key IN ({marks}) OR (name = ? AND substr(key, ?) = ?))", [*ends, parts[-1], -len(path) - 1, f"/{path}"]


def is_named(path: str, name: str) -> bool:
    """Return whether a list means a file: it may name more or fewer of the folders that the file lies in."""
    path, name = _normal(path), _normal(name)
    return path == name or path.endswith(f"/{name}") or name.endswith(f"/{path}")


def base_name(path: str) -> str:
    """Return the last part of a path, by which the lists of exports name files."""
    return path.replace("\\", "/").rpartition("/")[2]


def _bounded(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON, each text cut, and without what is beyond the bound."""
    kept: dict[str, Any] = {}
    left = _MOST_METADATA
    for name, value in metadata.items():
        value = texts.shortened(texts.storable(value)) if isinstance(value, str) else value
        left -= len(name) + len(json.dumps(value))
        if value not in ("", None, []) and left >= 0:
            kept[texts.storable(name)] = value
    return json.dumps(kept)
