"""The connection to a folder on a WebDAV server: listed by PROPFIND, read by GET."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.client import Client, Head, Target
from prefect_collect.connectors.http.download import Download
from prefect_collect.connectors.http.failures import status_error
from prefect_collect.connectors.http.fetcher import Fetcher, Fetchers
from prefect_collect.connectors.http.headers import etag_of, is_strong, modified_of, whole_number
from prefect_collect.connectors.http.many import Many
from prefect_collect.connectors.per_process import per_process
from prefect_collect.connectors.webdav.access import Access, Login
from prefect_collect.connectors.webdav.listing import Listing
from prefect_collect.connectors.webdav.multistatus import Resource
from prefect_collect.connectors.webdav.propfind import Propfinder
from prefect_collect.connectors.webdav.root import BadHref, Root, segments_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed, ListingEnd

_REFUSED_CONDITION: Final = 412
_PASSING: Final = ("connection_lost", "timeout", "bad_credentials", "throttled", "source_error", "address_refused")


@per_process
def connect(access: Access) -> Connection:
    """Return the connection for these settings; it is shared within the process."""
    return Connection(access)


class Connection:
    """One source, which several threads may use. Every error is a SourceError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._login = Login(access)
        self._lock = threading.Lock()
        self._fetchers = Fetchers(lambda: Fetcher(self._client.home))
        self._finders: list[Propfinder] = []
        self._found: Root | None = None
        self._has_conditions = True
        """False once the server refused the condition of an ETag that it states itself."""

    def items(self) -> Iterator[Listed]:
        """Yield the files below the root, or the single file, and the listing's end."""
        root = self._root(fresh=True)
        if root.file:
            with self._finder() as finder:
                resource = self._described(finder, root, root.file)
            yield root.listed(root.file, resource)
            yield ListingEnd("the source is one file, and it is there", items=1)
            return
        with self._finder() as finder:
            yield from Listing(root, self._client, finder, self._secret).walk()

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now; nothing if it is gone; of a folder, what is in it, and the listing's end."""
        root = self._root()
        asked = root.relative(item)
        relative = asked.rstrip(b"/")
        try:
            with self._finder() as finder:
                resource = self._described(finder, root, asked)
        except SourceError as error:
            if error.code == "not_found":
                return
            if error.code in _PASSING:
                raise
            yield replace(item, failure=Failure(error.code, str(error)), skipped=None)
            return
        if resource.is_folder:
            yield from self._expand(root, relative + b"/", item)
        else:
            yield root.listed(relative, resource)

    def _expand(self, root: Root, folder: bytes, item: Item) -> Iterator[Listed]:
        with self._finder() as finder:
            below = Listing(root, self._client, finder, self._secret).walk(folder)
            try:
                first = next(below)
            except SourceError as error:
                yield replace(item, failure=Failure(error.code, str(error)), skipped=None)
                return
            if isinstance(first, ListingEnd):
                yield root.skipped(folder, "empty_folder", "The folder is empty now.")
                return
            for found in chain((first,), below):
                if isinstance(found, ListingEnd) or found.id == item.id:  # the folder itself fails again
                    yield found
                else:
                    yield replace(found, expands=item.id)

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a file of any size."""
        root = self._root()
        download = Download(self._client, self._target(root, item))
        try:
            try:
                with self._login.noted():
                    head = download.begin()
            except SourceError as error:
                if error.http_status != _REFUSED_CONDITION or not self._is_as_listed(root, item):
                    raise
                self._has_conditions = False
                download = Download(self._client, self._target(root, item))
                head = download.begin()
            content = _content(item, head, download.pieces())
            if content.size is None or content.size > SMALL_ITEM:
                content.finish = partial(self._require_unchanged, root, item, content, download)
            yield content
        finally:
            download.close()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small files, many at once."""
        root = self._root()
        refused: list[Item] = []
        with self._fetchers.one() as fetcher:
            many = Many(
                self._client, fetcher, target_of=partial(self._target, root), whole=_content, alone=self._read_alone
            )
            for item, got in many.read(items, concurrency):
                self._login.note(got)
                if isinstance(got, SourceError) and got.http_status == _REFUSED_CONDITION:
                    refused.append(item)
                else:
                    yield item, got
            for item in refused:
                yield item, self._read_alone(item)

    def _read_alone(self, item: Item) -> Content | Exception:
        try:
            with self.open(item) as content:
                return replace(content, chunks=[*content.chunks], finish=None)
        except SourceError as error:
            return error

    def _target(self, root: Root, item: Item) -> Target:
        self._login.require_accepted()
        relative = root.relative(item)
        conditions = _if_match(item) if self._has_conditions else ()
        return Target(root.url(relative), root.place_of(relative), self._secret, conditions)

    def _is_as_listed(self, root: Root, item: Item) -> bool:
        """Return whether the server still states the ETag that it refuses as a condition."""
        with self._finder() as finder:
            return self._described(finder, root, root.relative(item)).etag == item.etag

    def _require_unchanged(self, root: Root, item: Item, content: Content, download: Download) -> None:
        """Raise SourceError if a file is another one after its last byte than when it was opened."""
        download.close()
        relative = root.relative(item)
        with self._finder() as finder:
            now = self._described(finder, root, relative, urgent=True)
        after = (etag_of(now.etag, content.etag), now.size)
        before = (content.etag, content.size)
        for old, new in zip((*before, content.modified), (*after, now.modified), strict=True):
            if old is not None and new is not None and old != new:
                what = f"The file was written to while it was read (from {old} to {new})"
                raise source_error("changed_during_read", what, root.place_of(relative))

    @property
    def _client(self) -> Client:
        return self._login.client

    @property
    def _secret(self) -> tuple[str, ...]:
        return self._login.lines

    @contextmanager
    def _finder(self) -> Iterator[Propfinder]:
        with self._lock:
            finder = self._finders.pop() if self._finders else Propfinder(self._client)
        try:
            yield finder
        finally:
            finder.stop()
            with self._lock:
                self._finders.append(finder)

    def _described(self, finder: Propfinder, root: Root, relative: bytes, *, urgent: bool = False) -> Resource:
        """Return what the server says of one resource. Raise SourceError, with `not_found` if it is gone."""
        target = Target(root.url(relative), root.place_of(relative), self._secret)
        return _the_one(finder.ask(target, urgent=urgent), root, relative, target.place)

    def _root(self, *, fresh: bool = False) -> Root:
        """Return the root; whether it is a folder or a single file is asked once, and for each listing."""
        self._login.require_accepted()
        with self._lock:
            if self._found is not None and not fresh:
                return self._found
        access = self._access
        whole = Root(access.origin, access.host, segments_of(access.path), access.place)
        self._login.find_out(whole.url(b""))
        names = whole.names
        with self._finder() as finder, self._login.noted():
            target = Target(whole.url(b""), access.place, self._secret)
            try:
                resource = _the_one(finder.ask(target), whole, b"", access.place)
            except SourceError as error:
                if not names or error.code not in ("not_found", "source_error", "enumeration_failed"):
                    raise
                resource = self._as_file(finder, whole, error)
        if not resource.is_folder:
            whole = replace(whole, names=names[:-1], place=access.place.rpartition("/")[0], file=names[-1])
        with self._lock:
            self._found = whole
        return whole

    def _as_file(self, finder: Propfinder, whole: Root, error: SourceError) -> Resource:
        """Return a root that the server has only without the "/" of a folder; raise the earlier error if it has not."""
        above = replace(whole, names=whole.names[:-1])
        target = Target(above.url(whole.names[-1]), whole.place, self._secret)
        try:
            resource = _the_one(finder.ask(target), above, whole.names[-1], whole.place)
        except SourceError:
            raise error from None
        if resource.is_folder:
            raise error
        return resource


def _the_one(resources: list[Resource], root: Root, relative: bytes, place: str) -> Resource:
    """Return the one resource of an answer of depth 0. Raise SourceError."""
    inside, _, name = relative.rstrip(b"/").rpartition(b"/")
    folder = inside + b"/" if inside else b""
    for resource in resources:
        try:
            found = root.name_in(folder, resource.href)
        except BadHref:
            continue
        if found != (name or None):
            continue
        if resource.status is not None:
            raise status_error(resource.status, place, resource.said.encode())
        if resource.is_folder is not None:
            return resource
    what = "The answer to PROPFIND does not describe what was asked for"
    raise source_error("enumeration_failed", what, place)


def _if_match(item: Item) -> tuple[str, ...]:
    """Return the condition by which the server gives a file as it was listed, if it has a strong ETag, or none."""
    mark = f'"{item.etag}"'
    is_listed = item.etag is not None and item.is_current and not item.etag.startswith("W/")
    return (f"If-Match: {mark}",) if is_listed and is_strong(mark) else ()


def _content(item: Item, head: Head, chunks: Iterable[bytes]) -> Content:
    headers = head.headers
    return Content(
        chunks,
        size=whole_number(headers.get(b"content-length", "")),
        modified=modified_of(headers.get(b"last-modified"), item.modified),
        etag=etag_of(headers.get(b"etag"), item.etag),
    )
