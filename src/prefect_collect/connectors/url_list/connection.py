"""The URLs of a list: looked at by HEAD while they are listed, read by GET."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import pycurl

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.addresses import Guard, origin
from prefect_collect.connectors.http.client import Client, Head, Target
from prefect_collect.connectors.http.download import Download
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.fetcher import Fetcher, Fetchers
from prefect_collect.connectors.http.headers import etag_of, modified_of, whole_number
from prefect_collect.connectors.http.many import Many
from prefect_collect.connectors.per_process import per_process
from prefect_collect.connectors.url_list.access import Access
from prefect_collect.connectors.url_list.entries import Entry
from prefect_collect.connectors.url_list.list_file import ListFile
from prefect_collect.connectors.url_list.lists import Lists
from prefect_collect.errors import SourceError
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed, ListingEnd
from prefect_collect.threads.stop import current_stop

_LOOKS: Final = 128
"""The most HEAD requests at once while the list is read."""

_GIVE_UP_AFTER: Final = 20
"""Servers in a row that cannot be reached after which no more are looked at; each may take its time."""

_UNREACHED: Final = ("connection_lost", "timeout")
_NO_HEAD: Final = ("access_denied", "bad_credentials", "unexpected_error", "source_error", "not_found")


class _NotAsked(SourceError):
    """A URL is not looked at."""

    def __init__(self) -> None:
        super().__init__("The URL is not asked for", code="not_found")


@per_process
def connect(access: Access) -> Connection:
    """Return the connection for these settings; it is shared within the process."""
    return Connection(access)


class Connection:
    """One list and its URLs, which several threads may use. Every error is a SourceError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._headers = dict(access.headers)
        bundle = access.ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where()
        guard = Guard()
        free = Limits(access.connect_timeout, access.read_timeout, bundle)
        held = free if access.allow_private else replace(free, prepare=guard.prepare)
        self._client = Client(held, held, None if access.allow_private else guard, access.place)
        # The server of the list itself is one that the user names.
        client = Client(free, held, None if access.allow_private else guard, f"list {access.place}")
        self._lists = Lists(access.list_url, access.place, client, self._headers)
        bodiless = replace(held, prepare=partial(_without_body, held))
        self._lookers = Fetchers(lambda: Fetcher(bodiless, most=0))
        self._fetchers = Fetchers(lambda: Fetcher(held))

    def items(self) -> Iterator[Listed]:
        """Yield an item for each line, and the proof that the list was read to its end."""
        lines = self._lists.opened(fresh=True)
        count, found = 0, self._listed(lines)
        for item in self._looked_at(found) if self._access.look_first else (item for item, _ in found):
            count += 1
            yield item
        lines.require_unchanged()
        yield ListingEnd(f"the list was read to its last byte, {lines.state[1]:,}", items=count)

    def _listed(self, lines: ListFile) -> Iterator[tuple[Item, Entry | None]]:
        """Yield an item for each line, with what the line describes."""
        for line in lines.lines():
            if line.entry is not None:
                yield self._item(line.entry), line.entry
                continue
            why = f"Line {line.number} of the list {line.wrong}. Correct it, then retry. [{self._access.place}]"
            # Without an id: a retry reads the list again, where the line may have become another one.
            yield Item("", f"line {line.number}", failure=Failure("invalid_item", why)), None

    def _item(self, entry: Entry) -> Item:
        """Return the item of a line; one whose URL itself has an address that must not be connected to failed."""
        item = Item(entry.id, entry.path, entry.size)
        try:
            self._client.require_allowed(Target(entry.url, entry.id), entry.url)
        except SourceError as error:
            return replace(item, failure=Failure(error.code, str(error)))
        return item

    def _looked_at(self, listed: Iterator[tuple[Item, Entry | None]]) -> Iterator[Item]:
        """Yield the items with what a HEAD request says of them, as far as it says something."""
        unreached = 0
        entries: dict[str, Entry | None] = {}

        def items() -> Iterator[Item]:
            for item, entry in listed:
                entries[item.id] = entry
                yield item

        def target_of(item: Item) -> Target:
            entry = entries.pop(item.id)
            if entry is None or item.failure is not None or unreached >= _GIVE_UP_AFTER:
                raise _NotAsked
            return self._target(entry)

        with self._lookers.one() as fetcher:
            many: Many[Item] = Many(
                self._client,
                fetcher,
                target_of=target_of,
                whole=lambda item, head, _: _seen(item, head),
                size=lambda _: 0,
                is_listing=True,
            )
            for item, got in many.read(items(), _LOOKS):
                if not isinstance(got, _NotAsked):
                    is_unreached = isinstance(got, SourceError) and got.code in _UNREACHED
                    unreached = unreached + 1 if is_unreached else 0
                yield got if isinstance(got, Item) else item
        current_stop().require_going()

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as its server describes it now; nothing if it, or its line, is gone.

        If another line has the item's name now, yield that one's item, which has another id.
        """
        lines = self._lists.opened()
        entry = lines.find(item.id)
        is_same = entry is not None
        entry = entry or lines.named(item.path)
        if entry is None:
            return
        now = Item(entry.id, entry.path, entry.size)
        try:
            yield _seen(now, self._head(self._target(entry)))
        except SourceError as error:
            if error.http_status in (404, 410) and is_same:
                return
            if error.code not in _NO_HEAD:
                raise
            yield now  # a server that has no HEAD, or a URL that is signed for GET alone

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a URL's content of any size."""
        lines = self._lists.opened()
        entry = self._entry(lines, item)
        target = self._target(entry)
        download = Download(self._client, target)
        try:
            head = download.begin()
            content = self._content(entry, item, head, download.pieces())
            if content.size is None or content.size > SMALL_ITEM:
                content.finish = partial(self._require_unchanged, target, head, download)
            yield content
        finally:
            download.close()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small contents, many at once."""
        lines = self._lists.opened()
        under_way: dict[str, Entry] = {}

        def target_of(item: Item) -> Target:
            entry = under_way[item.id] = self._entry(lines, item)
            return self._target(entry)

        def whole(item: Item, head: Head, body: list[bytes]) -> Content:
            return self._content(under_way[item.id], item, head, body)

        with self._fetchers.one() as fetcher:
            many: Many[Content] = Many(self._client, fetcher, target_of=target_of, whole=whole)
            for item, got in many.read(items, concurrency):
                under_way.pop(item.id, None)
                yield item, got

    def _target(self, entry: Entry) -> Target:
        of_server = self._headers.get(origin(entry.url)[1], ())
        names = {line.partition(":")[0].rstrip(";").lower() for line in entry.headers}
        general = tuple(line for line in of_server if line.partition(":")[0].lower() not in names)
        return Target(entry.url, entry.id, (*general, *entry.headers))

    def _entry(self, lines: ListFile, item: Item) -> Entry:
        entry = lines.find(item.id)
        if entry is None:
            other = lines.named(item.path)
            instead = (
                "and none under its name: no retry collects it unless the list has one again. A new collection takes "
                "the list as it is now"
                if other is None
                else f"but another one under its name, which a retry collects unless the job has it already: {other.id}"
            )
            what = f"The list {self._access.place} has no such URL any more, {instead}"
            raise source_error("not_found", what, item.id)
        return entry

    def _content(self, entry: Entry, item: Item, head: Head, chunks: Iterable[bytes]) -> Content:
        size = whole_number(head.headers.get(b"content-length", ""))
        if entry.size is not None and size is not None and entry.size != size:
            what = f"The list states {entry.size} bytes, but the server has {size}"
            raise source_error("list_mismatch", what, entry.id)
        stated: dict[str, Any] = {}
        if kind := head.headers.get(b"content-type"):
            stated["content_type"] = kind[:200]
        server = urlsplit(head.url).hostname
        if server != urlsplit(entry.url).hostname:
            stated["redirected_to"] = server
        return Content(
            chunks,
            size=entry.size if size is None else size,
            modified=modified_of(head.headers.get(b"last-modified"), item.modified),
            etag=etag_of(head.headers.get(b"etag"), item.etag),
            sha256=entry.sha256,
            metadata=stated or None,
        )

    def _require_unchanged(self, target: Target, before: Head, download: Download) -> None:
        """Raise SourceError if the server has another content after the last byte than when it was opened."""
        download.close()
        try:
            after = self._head(target, urgent=True)
        except SourceError as error:
            if error.code not in _NO_HEAD or error.http_status in (404, 410):
                raise
            return
        for name in (b"etag", b"last-modified", b"content-length"):
            old, new = before.headers.get(name), after.headers.get(name)
            if old is not None and new is not None and old.removeprefix("W/") != new.removeprefix("W/"):
                what = f"The content was changed while it was read: its {name.decode()} was {old} and is {new}"
                raise source_error("changed_during_read", what, target.place)

    def _head(self, target: Target, *, urgent: bool = False) -> Head:
        request = Download(self._client, target, head=True, urgent=urgent)
        try:
            return request.begin()
        finally:
            request.close()


def _without_body(limits: Limits, handle: pycurl.Curl) -> None:
    if limits.prepare is not None:
        limits.prepare(handle)
    handle.setopt(pycurl.NOBODY, 1)


def _seen(item: Item, head: Head) -> Item:
    """Return an item with what an answer to HEAD states of it; the list's own size goes before the server's."""
    size = whole_number(head.headers.get(b"content-length", ""))
    return replace(
        item,
        size=size if item.size is None else item.size,
        modified=modified_of(head.headers.get(b"last-modified"), None),
        etag=etag_of(head.headers.get(b"etag"), None),
    )
