"""What the lists of an export say, in a temporary database on disk, so that memory does not grow with the export."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prefect_collect.connectors.mail import texts

Key = Literal["file", "message"]
"""By what a document is found: the name of its file, or the name of its message."""

_MOST_METADATA: Final = 48 << 10
"""Characters of a document's metadata; the rest of an item's 64 KiB is for its message's own."""

_SCHEMA: Final = """
CREATE TABLE documents (number INTEGER PRIMARY KEY, name TEXT, list TEXT, metadata TEXT, keyed INTEGER, seen INTEGER);
CREATE TABLE keys (kind TEXT, key TEXT, document INTEGER);
CREATE INDEX by_key ON keys (kind, key);
CREATE TABLE told (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key));
CREATE TABLE checksums (name TEXT, algorithm TEXT, digest TEXT, seen INTEGER);
CREATE INDEX by_name ON checksums (name);
"""


@dataclass(frozen=True, slots=True)
class Document:
    """What a list says of one item of the export.

    Attributes:
        name: What it is called in messages: its file's name, or its id.
        files: The names of the files that hold it; one of them is enough.
        messages: The ids by which a message is found in an mbox file.
        metadata: What the list says about it.
    """

    name: str
    files: tuple[str, ...]
    messages: tuple[str, ...]
    metadata: Mapping[str, Any]


class Lists:
    """What the lists of an export promise, and what of that was seen. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.execute("PRAGMA cache_size = -8192")
        self._database.execute("BEGIN")
        self.promised = self.checksums = 0
        self.is_whole = True
        """False if not all files were looked at, so that nothing can be said to be missing."""

    def add(self, documents: Iterable[Document], source: str) -> None:
        """Add what a list promises; `source` is the list's path."""
        for document in documents:
            self.promised += 1
            number, keys = self.promised, [("message", key, self.promised) for key in document.messages if key]
            keys += [("file", base_name(key), number) for key in document.files if key]
            row = (number, document.name, source, _bounded(document.metadata), bool(document.messages), False)
            with self._lock:
                self._database.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", row)
                self._database.executemany("INSERT INTO keys VALUES (?, ?, ?)", keys)

    def add_checksums(self, checksums: Iterable[tuple[str, str, str]]) -> None:
        """Add checksums: names of files, algorithms and hex digests."""
        for name, algorithm, digest in checksums:
            self.checksums += 1
            with self._lock:
                row = (base_name(name), algorithm, digest.lower(), False)
                self._database.execute("INSERT INTO checksums VALUES (?, ?, ?, ?)", row)

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
        more = " AND NOT keyed" if holds_messages else ""
        self._saw("file", [base_name(path)], more)
        with self._lock:
            self._database.execute("UPDATE checksums SET seen = 1 WHERE name = ?", [base_name(path)])

    def saw_message(self, keys: Iterable[str]) -> None:
        """Note that a message is there. An id may be the name of a document's file, too, as Google Chat's are."""
        found = [key for key in keys if key]
        self._saw("message", found)
        self._saw("file", [base_name(key) for key in found])

    def _saw(self, kind: Key, keys: list[str], more: str = "") -> None:
        with self._lock:
            self._database.executemany(
                "UPDATE documents SET seen = 1 WHERE number IN (SELECT document FROM keys WHERE kind = ? AND key = ?)"
                f"{more}",
                [(kind, key) for key in keys],
            )

    def is_file(self, path: str) -> bool:
        """Return whether a list names a file as one of the items."""
        return self._first("SELECT 1 FROM keys WHERE kind = 'file' AND key = ?", [base_name(path)]) is not None

    def checksum(self, path: str) -> tuple[str, bytes] | None:
        """Return the algorithm and the digest that a list states for a file; None if none does."""
        found = self._first("SELECT algorithm, digest FROM checksums WHERE name = ?", [base_name(path)])
        return None if found is None else (found[0], bytes.fromhex(found[1]))

    def metadata(self, files: Iterable[str], messages: Iterable[str] = ()) -> dict[str, Any]:
        """Return what the lists say of an item, by the names of its file or message; {} if nothing."""
        wanted = [("message", key) for key in messages if key]
        wanted += [("file", base_name(key)) for key in [*messages, *files] if key]
        query = "SELECT metadata FROM documents JOIN keys ON document = number WHERE kind = ? AND key = ? LIMIT 1"
        for kind, key in wanted:
            if (found := self._first(query, [kind, key])) is not None:
                metadata: dict[str, Any] = json.loads(found[0])
                return metadata
        return {}

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield the documents that were not seen, and the files of which only a checksum was: names and lists."""
        yield from self._rows("SELECT name, list FROM documents WHERE NOT seen ORDER BY number")
        yield from self._rows("SELECT name, '' FROM checksums WHERE NOT seen ORDER BY rowid")

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
