"""A data source in memory whose items misbehave as a test wants."""

# ruff: noqa: D102 - the methods are those of the protocol.

from __future__ import annotations

import hashlib
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from prefect_collect.codes import Failure
from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed, ListingEnd

Kind = Literal[
    "good", "unknown_size", "empty", "denied", "flaky", "down", "skipped", "changed", "checksum", "truncated", "breaks",
    "unlisted_failure", "elsewhere",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "good", "unknown_size", "empty", "denied", "flaky", "down", "skipped", "changed", "checksum", "truncated", "breaks",
    "unlisted_failure", "elsewhere",
)  # fmt: skip
SUCCEEDS = frozenset({"good", "unknown_size", "empty", "flaky"})
"""Kinds that succeed within an attempt of three tries."""
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass
class Thing:
    """One item, and what happens when it is read."""

    kind: Kind = "good"
    data: bytes = b""
    flaky: int = 2


@dataclass
class MemorySource:
    """A `Source` on a dict of things by id.

    `opened` counts how often each was opened, `given` how often all its bytes were read. The listing breaks off after
    `breaks_after` items.
    """

    things: dict[str, Thing] = field(default_factory=dict)
    name: str = "memory"
    breaks_after: int | None = None
    opened: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    listings: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _item(self, id_: str) -> Item:
        thing = self.things[id_]
        known = thing.kind != "unknown_size"
        item = Item(id_, id_, len(thing.data) if known else None, WHEN if known else None, etag=f"e{len(thing.data)}")
        if thing.kind == "skipped":
            return replace(item, skipped=Failure("special_file", f"A socket. [{id_}]"))
        if thing.kind == "unlisted_failure":
            return replace(item, failure=Failure("access_denied", f"Not allowed to look. [{id_}]"))
        if thing.kind == "elsewhere":
            return replace(item, elsewhere=Failure("linked_file", f"A link. [{id_}]"))
        return item

    def items(self) -> Iterator[Listed]:
        self.listings += 1
        for count, id_ in enumerate(sorted(self.things)):
            if count == self.breaks_after:
                raise TransientSourceError("The listing broke off.", code="connection_lost")
            yield self._item(id_)
        if self.breaks_after is not None and self.breaks_after >= len(self.things):
            raise TransientSourceError("The listing broke off.", code="connection_lost")
        yield ListingEnd("every thing was given", items=len(self.things))

    def relist(self, item: Item) -> Iterator[Item]:
        if item.id in self.things:
            yield self._item(item.id)

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        yield self._content(item)

    def _content(self, item: Item) -> Content:
        with self.lock:
            self.opened[item.id] += 1
            count = self.opened[item.id]
        thing = self.things.get(item.id)
        if thing is None:
            raise FileNotFoundError(item.id)
        data, kind = thing.data, thing.kind
        if kind == "denied":
            raise PermissionError(item.id)
        if kind == "breaks":
            raise ZeroDivisionError("a fault in the source's own code")
        if kind == "down" or (kind == "flaky" and count <= thing.flaky):
            raise ConnectionResetError(item.id)
        if kind == "truncated":
            return Content([data[:-1]])
        if kind == "changed":
            return Content([data], size=len(data), etag="another")
        if kind == "checksum":
            return Content([data], size=len(data), crc32=zlib.crc32(data) ^ 1)
        with self.lock:
            self.given[item.id] += 1
        half = len(data) // 2
        return Content([data[:half], data[half:]], size=len(data), sha256=hashlib.sha256(data).digest())

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        for item in items:
            try:
                yield item, self._content(item)
            except Exception as error:
                yield item, error

    def overlap(self, store: object) -> None:
        """Return None: a source in memory overlaps no store."""

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        place = item.id if item is not None else self.name
        if isinstance(error, SourceError):
            return Failure(error.code, str(error))
        if isinstance(error, FileNotFoundError):
            return Failure("not_found", f"It is gone. [{place}]")
        if isinstance(error, PermissionError):
            return Failure("access_denied", f"Not allowed. [{place}]")
        if isinstance(error, ConnectionError):
            return Failure("connection_lost", f"The connection was reset. [{place}]")
        return None


def small(count: int) -> dict[str, Thing]:
    """Small items."""
    return {f"good/{n:03d}": Thing("good", f"content {n}".encode()) for n in range(count)}


def large(count: int) -> dict[str, Thing]:
    """Items that are read one by one."""
    return {f"large/{n:03d}": Thing("good", bytes(SMALL_ITEM + 1 + n)) for n in range(count)}
