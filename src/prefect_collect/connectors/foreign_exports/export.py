"""The files of an export as items, checked against its lists."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.connectors.foreign_exports.checking import held_to
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList
from prefect_collect.connectors.foreign_exports.layout import Format
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.foreign_exports.retrying import Retry, missing_item, needs_all
from prefect_collect.connectors.foreign_exports.walking import Walk, sender
from prefect_collect.connectors.mbox.reading import message_content
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.sources.query import Query

_STALE: Final = 5.0
"""Seconds without a question of a retry after which the next one looks again; more if looking took longer."""

_NO_LIST: Final = (
    "The export has no list of what it should hold, and no checksums: what was collected was not compared with any."
)
"""The warning where nothing tells whether an export is whole."""


@dataclass
class Export:
    """An export: its files, those in its ZIP files, and what its lists say of them. Several threads may read it."""

    tree: FileTree
    format: Format
    _lists: Lists | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _asked: float = field(default=0.0, init=False, repr=False)
    _took: float = field(default=0.0, init=False, repr=False)
    _has_seen_all: bool = field(default=False, init=False, repr=False)
    _given: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._walk = Walk(self.tree, self.format)

    def items(self, query: Query | None = None) -> Iterator[Listed]:
        """Yield the files and messages, what the lists promise beside them, and the listing's end."""
        self.tree.forget()
        with self._lock:
            lists = self._read()
        self._walk.require_layout(lists)
        for found in self._walk.files(lists, query):
            yield from [found] if isinstance(found, Item) else self._walk.listed(found, lists, query)
        yield from lists.reports()
        missing = 0
        if lists.is_whole:
            for each in lists.missing():
                missing += 1
                yield missing_item(each, self.format)
        yield ListingEnd(self._proof(lists, missing), warnings=() if lists.promised or lists.checksums else (_NO_LIST,))

    def _proof(self, lists: Lists, missing: int) -> str:
        if not lists.promised and not lists.checksums:
            return f"{self.tree.proof}; the export has no list of what it should hold"
        said = f"the export's lists name {lists.promised:,} items and {lists.checksums:,} checksums"
        there = f"{missing:,} of them are missing" if lists.is_whole else "the query left out some, so none was missed"
        return f"{self.tree.proof}; {said}; {there}"

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open an item, with what the lists say of it. Raise SourceError, OSError."""
        lists = self._known()
        span = ids.span_of(item.id)
        if span is not None:
            file = self.tree.file(span.file)
            content = message_content(file, span, item)
            metadata = dict(content.metadata or {})
            keys = [str(metadata.get("message_id", "")).strip("<> "), sender(str(metadata.get("separator", "")))]
            said = lists.metadata(file.item.path, keys)
            assert isinstance(content.metadata, dict)
            content.metadata.update(said)
            yield content
            return
        file = self.tree.file(item.id, item.path)
        with file.open() as content:
            said = lists.metadata(item.path) | self._described(file, item, lists)
            yield held_to(replace(content, metadata=said or None), lists.checksum(item.path), item)

    def _described(self, file: File, item: Item, lists: Lists) -> dict[str, Any]:
        if self.format.describe is None:
            return {}
        file.item = replace(file.item, path=item.path)
        try:
            return self.format.describe(file, lists)
        except BadList:  # the listing has reported it
            return {}

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now, for a retry; of what was missing, or in a file that failed, what is there now."""
        lists = self._known(again=True, all_seen=needs_all(item.id))
        yield from Retry(self._walk, lists, self._given).relist(item)

    def _known(self, *, again: bool = False, all_seen: bool = False) -> Lists:
        """Return what the lists say; they are read once by each process, and again for each retry."""
        with self._lock:
            if again and time.monotonic() - self._asked > max(_STALE, self._took):
                self._lists = None
                self.tree.forget()
            lists = self._lists
            if lists is None or (all_seen and not self._has_seen_all):
                begun = time.monotonic()
                lists = self._read()
                if all_seen:
                    self._walk.see_all(lists)
                    self._has_seen_all = True
                self._took = time.monotonic() - begun
            if again:
                self._asked = time.monotonic()
            return lists

    def _read(self) -> Lists:
        """Return the lists as they are now."""
        lists = Lists()
        self._walk.read_lists(lists)
        self._lists, self._has_seen_all = lists, False
        return lists
