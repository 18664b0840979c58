"""What the lists of an export say, in a temporary database on disk, so that memory does not grow with the export."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.foreign_exports.documents import Document, Missing, bounded
from prefect_collect.connectors.foreign_exports.facts import custodian_of
from prefect_collect.connectors.foreign_exports.paths import SCHEMA, Paths, back, is_named, normal
from prefect_collect.connectors.mail import texts
from prefect_collect.sources import Item

COUNTED: Final = "messages"
"""The id of the messages that are missing by their number alone."""

_SCHEMA: Final = """
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, id TEXT, name TEXT, message TEXT, list INTEGER, metadata TEXT, keyed INTEGER,
    seen INTEGER, elsewhere INTEGER, item TEXT, size TEXT
);
CREATE INDEX documents_by_id ON documents (id);
CREATE TABLE keys (document INTEGER, list INTEGER, key TEXT, back TEXT);
CREATE INDEX keys_by_key ON keys (key);
CREATE INDEX keys_by_end ON keys (back);
CREATE INDEX keys_by_document ON keys (document);
CREATE TABLE messages (document INTEGER, key TEXT);
CREATE INDEX messages_by_key ON messages (key);
CREATE TABLE binding (list INTEGER PRIMARY KEY);
CREATE TABLE reports (id TEXT, item TEXT, code TEXT, message TEXT, list INTEGER);
CREATE INDEX reports_by_id ON reports (id);
CREATE TABLE facts (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key));
CREATE TABLE checksums (
    id TEXT, list INTEGER, key TEXT, back TEXT, algorithm TEXT, digest TEXT, seen INTEGER, item TEXT
);
CREATE INDEX checksums_by_id ON checksums (id);
CREATE INDEX checksums_by_key ON checksums (key);
CREATE INDEX checksums_by_end ON checksums (back);
"""


class Lists:
    """What the lists of an export promise, and what of that was seen. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(f"{_SCHEMA}{SCHEMA}")
        self._database.execute("PRAGMA cache_size = -8192")
        self._database.execute("BEGIN")
        self._paths = Paths(self._database)
        self._sources: list[str] = []
        self.promised = self.checksums = self.counted = self.messages = 0
        """How many items and checksums the lists state, how many messages they count, and how many were seen."""
        self.counts = True
        """False once all messages were seen, so that those that are read again are not counted twice."""
        self.is_empty = True
        """False if the export has a file that could be looked at, beside its ZIP files."""
        self.knows_layout = False
        """True if a list, or another file by which such an export is known, was found."""
        self.unreadable: Failure | None = None
        """Why a ZIP file or folder could not be looked into, the last of these."""
        self.names_custodians = False
        """True if a list says of an item whose it is."""
        self.holds_pst = False
        self.is_whole = True
        """False if not all files were looked at, so that nothing can be said to be missing."""

    def add_file(self, path: str) -> None:
        """Add a file that the export has, before any is found to be the one that a list means."""
        with self._lock:
            self._paths.add(path)

    def add(self, documents: Iterable[Document], source: str) -> None:
        """Add what a list promises; `source` is the list's path."""
        number_of_list = self._number_of(source)
        for document in documents:
            self.promised += 1
            number = self.promised
            messages = [key for key in document.messages if key]
            metadata = bounded(document.metadata)
            self.names_custodians = self.names_custodians or custodian_of(document.metadata) is not None
            id_ = _id([source, document.name, *document.files, *messages, metadata])
            keys = [
                (number, number_of_list, key, back(key)) for key in dict.fromkeys(map(normal, document.files)) if key
            ]
            row = (
                number, id_, texts.storable(document.name), messages[0] if messages else "", number_of_list, metadata,
                bool(document.messages), False, False, None, document.size[:20],
            )  # fmt: skip
            with self._lock:
                self._database.execute(f"INSERT INTO documents VALUES ({', '.join('?' * len(row))})", row)
                self._database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", keys)
                self._database.executemany("INSERT INTO messages VALUES (?, ?)", [(number, key) for key in messages])
            self.add_checksums(document.digests, source, is_promise=False)

    def add_checksums(self, checksums: Iterable[tuple[str, str, str]], source: str, *, is_promise: bool = True) -> None:
        """Add a list's checksums: names, algorithms, hex digests. If they promise it, each file has to be there."""
        number = self._number_of(source)
        for name, algorithm, digest in checksums:
            self.checksums += 1
            key = normal(name)
            id_ = _id([source, key, algorithm])
            row = (id_, number, key, back(key), algorithm, digest.lower(), not is_promise, None)
            with self._lock:
                self._database.execute("INSERT INTO checksums VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _number_of(self, source: str) -> int:
        with self._lock:
            if source not in self._sources:
                self._sources.append(source)
            return self._sources.index(source)

    def report(self, item: Item, source: str) -> None:
        """Keep an item that failed according to a list, or as the list cannot be read; it is listed after the files."""
        assert item.failure is not None
        number = self._number_of(source)
        with self._lock:
            row = (item.id, _kept(item), item.failure.code, item.failure.message, number)
            self._database.execute("INSERT INTO reports VALUES (?, ?, ?, ?, ?)", row)

    def reports(self, *, source: str | None = None, id_: str | None = None) -> Iterator[Item]:
        """Yield the items that `report` kept: all, or those of a list, or one."""
        where = "" if source is None else f" WHERE list = {self._number_of(source)}"
        values = []
        if id_ is not None:
            where, values = " WHERE id = ?", [id_]
        query = f"SELECT item, code, message FROM reports{where} ORDER BY rowid"
        for kept, code, message in self._rows(query, values):
            yield replace(_item(kept), failure=Failure(code, message))

    def keep_fact(self, kind: str, key: str, value: str) -> None:
        """Keep something that a list says, such as a user's name."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", [kind, key, value])

    def fact(self, kind: str, key: str) -> str:
        """Return what `keep_fact` kept; "" if nothing."""
        found = self._first("SELECT value FROM facts WHERE kind = ? AND key = ?", [kind, key])
        return "" if found is None else str(found[0])

    def saw_file(self, path: str, item: Item | None = None, *, holds_messages: bool = False) -> None:
        """Add a file that is there. One that holds messages does not stand for documents that are messages in it."""
        self.holds_pst = self.holds_pst or path.lower().endswith(".pst")
        more = " AND NOT keyed" if holds_messages else ""
        numbers = "SELECT document FROM keys WHERE list = ? AND key = ?"
        kept = _kept(item)
        with self._lock:
            for row in self._paths.named("keys", path):
                if holds_messages:
                    of_messages = f"SELECT list FROM documents WHERE keyed AND number IN ({numbers}) LIMIT 1"
                    self._database.execute(f"INSERT OR IGNORE INTO binding {of_messages}", row)
                query = f"UPDATE documents SET seen = 1, item = ? WHERE number IN ({numbers}){more}"
                self._database.execute(query, [kept, *row])
            for row in self._paths.named("checksums", path):
                self._database.execute(
                    "UPDATE checksums SET seen = 1, item = ? WHERE list = ? AND key = ?", [kept, *row]
                )

    def saw_message(self, keys: Iterable[str], path: str = "", item: Item | None = None) -> None:
        """Add a message that is there, in a file. An id may be the name of a document's file, as Google Chat's are."""
        kept = _kept(item)
        with self._lock:
            self.messages += self.counts
            for key in filter(None, keys):
                for number, is_there in self._of_message(key, path):
                    columns = "seen = 1, elsewhere = 0" if is_there else "elsewhere = NOT seen"
                    query = f"UPDATE documents SET {columns}, item = ? WHERE number = ? AND (NOT seen OR ?)"
                    self._database.execute(query, [kept, number, is_there])

    def _of_message(self, key: str, path: str) -> list[tuple[int, bool]]:
        """Return the documents that a message may be, and whether each is in the file, as its list says."""
        there: dict[int, bool] = {}
        query = "SELECT m.document, k.key FROM messages m LEFT JOIN keys k ON k.document = m.document WHERE m.key = ?"
        for number, file in self._database.execute(query, [key]).fetchall():
            there[number] = there.get(number, False) or file is None or is_named(path, file)
        query = "SELECT document FROM keys WHERE key = ?"
        return [*there.items(), *((number, True) for (number,) in self._database.execute(query, [normal(key)]))]

    def is_file(self, path: str) -> bool:
        """Return whether a list names a file as one of the items."""
        with self._lock:
            return bool(self._paths.named("keys", path))

    def checksum(self, path: str) -> tuple[str, bytes] | None:
        """Return the algorithm and the digest that a list states for a file; None if none does."""
        with self._lock:
            for row in self._paths.named("checksums", path) if self.checksums else []:
                query = "SELECT algorithm, digest FROM checksums WHERE list = ? AND key = ? LIMIT 1"
                algorithm, digest = self._database.execute(query, row).fetchone()
                return algorithm, bytes.fromhex(digest)
        return None

    def metadata(self, path: str, messages: Iterable[str] = ()) -> dict[str, Any]:
        """Return what the lists say of a file, or of a message in it by its ids; {} if nothing."""
        messages = [key for key in messages if key]
        with self._lock:
            found: list[int] = []
            for key in messages:
                # That of the message in this file, else that of one with its id.
                found += [number for number, _ in sorted(self._of_message(key, path), key=lambda one: not one[1])]
            for row in [] if messages else self._paths.named("keys", path):
                query = "SELECT document FROM keys WHERE list = ? AND key = ? LIMIT 1"
                found += self._database.execute(query, row).fetchone()
            for number in found[:1]:
                query = "SELECT metadata FROM documents WHERE number = ?"
                metadata: dict[str, Any] = json.loads(self._database.execute(query, [number]).fetchone()[0])
                return metadata
        return {}

    def custodian(self, path: str) -> str | None:
        """Return whose a file is as the lists say; None if they do not say it."""
        return custodian_of(self.metadata(path)) if self.names_custodians else None

    def missing(self, *, source: str | None = None, id_: str | None = None) -> Iterator[Missing]:
        """Yield the documents that were not seen, and the files of which only a checksum was: all, of a list, or one.

        A message counts as seen if one with its id is in the file that its list names; if the list does not name the
        mbox files as they are called, in any file.
        """
        only = "" if source is None else f" AND list = {self._number_of(source)}"
        values = [] if id_ is None else [id_]
        only += "" if id_ is None else " AND id = ?"
        # Messages in PST files cannot be told apart, so none of them can be said to be missing.
        but = " AND NOT keyed" if self.holds_pst else ""
        once = "NOT EXISTS (SELECT 1 FROM {0} o WHERE o.id = {0}.id AND o.rowid < {0}.rowid)"
        elsewhere = "(elsewhere AND list NOT IN (SELECT list FROM binding))"
        where = f"NOT seen AND NOT {elsewhere}{but}{only} AND {once.format('documents')}"
        for found, name, message, number, metadata, size in self._rows(
            f"SELECT id, name, message, list, metadata, size FROM documents WHERE {where} ORDER BY number", values
        ):
            yield Missing(found, name, message, self._sources[number], metadata=json.loads(metadata), size=size)
        if self.lacking and source is None and id_ in (None, COUNTED):
            yield Missing(COUNTED, f"{self.lacking:,} messages", "", "the list of counts")
        where = f"NOT seen{only} AND {once.format('checksums')}"
        for found, key, number in self._rows(
            f"SELECT id, key, list FROM checksums WHERE {where} ORDER BY rowid", values
        ):
            yield Missing(found, key, "", self._sources[number], is_checksum=True)

    @property
    def lacking(self) -> int:
        """How many messages fewer were seen than the lists count, if these are all that they say."""
        return 0 if self.promised or self.holds_pst else max(0, self.counted - self.messages)

    def seen_as(self, id_: str) -> Item | None:
        """Return the item that was seen as what was missing, by the id of that (`Missing.id`); None if none was."""
        for table in ("documents", "checksums"):
            found = self._first(f"SELECT item FROM {table} WHERE id = ? AND item IS NOT NULL", [id_])
            if found is not None:
                return replace(_item(found[0]), modified=None)
        return None

    def _rows(self, query: str, values: Iterable[str] = ()) -> Iterator[Any]:
        at = 0
        while True:
            with self._lock:
                rows = self._database.execute(f"{query} LIMIT 1000 OFFSET ?", [*values, at]).fetchall()
            yield from rows
            at += len(rows)
            if len(rows) < 1000:
                return

    def _first(self, query: str, values: list[str]) -> Any:
        with self._lock:
            return self._database.execute(query, values).fetchone()


def _kept(item: Item | None) -> str | None:
    if item is None:
        return None
    times = [at and at.isoformat() for at in (item.modified, item.created)]
    return json.dumps([item.id, item.path, item.size, item.etag, item.custodian, *times])


def _item(kept: str) -> Item:
    id_, path, size, etag, custodian, *times = json.loads(kept)
    modified, created = (at and datetime.fromisoformat(at) for at in times)
    return Item(id_, path, size, modified, etag, created=created, custodian=custodian)


def _id(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
