"""A folder of a remote of rclone: listed folder by folder, read through the same libcurl as every HTTP source."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.client import Client, Head, Target
from prefect_collect.connectors.http.download import Download
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.fetcher import Fetcher, Fetchers
from prefect_collect.connectors.http.headers import modified_of, whole_number
from prefect_collect.connectors.http.many import Many
from prefect_collect.connectors.per_process import per_process
from prefect_collect.connectors.rclone.entries import Entry, item_of, loop_of, stated_hash, twin_of
from prefect_collect.connectors.rclone.failures import left_out, rclone_error
from prefect_collect.connectors.rclone.not_compared import NotCompared
from prefect_collect.connectors.rclone.process import Shared
from prefect_collect.connectors.rclone.remote import Remote
from prefect_collect.errors import SourceError
from prefect_collect.sources import SMALL_ITEM, Content, Item, Listed, ListingEnd
from prefect_collect.sources.depth import Alike, Nested, require_depth, too_deep

_STATED: Final = re.compile(r'"error": "((?:[^"\\]|\\.)*)')
"""The message in an answer of rclone, which may be cut off."""

_CHUNK: Final = 1 << 20
_PASSING: Final = ("connection_lost", "timeout", "bad_credentials", "throttled")


@dataclass(frozen=True)
class Access:
    """The settings of a source, and the key by which `connect` keeps connections.

    Attributes:
        remote: The remote's name in the configuration.
        root: The folder in it, without "/" at its ends; "" for all of it.
        place: The source's location, in which messages end.
        config: The text of the configuration; None for that of the user.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.
    """

    remote: str
    root: str
    place: str
    config: str | None = field(default=None, repr=False)
    connect_timeout: float = 20.0
    read_timeout: float = 60.0


@per_process
def connect(access: Access) -> Connection:
    """Return the connection for these settings; it is shared within the process."""
    return Connection(access)


@per_process
def _shared(config: str | None, connect_timeout: float, read_timeout: float) -> Shared:
    """Return the process for a configuration, which several sources may use."""
    return Shared(config, connect_timeout=connect_timeout, read_timeout=read_timeout)


class Connection:
    """One source, which several threads may use. Every error is a SourceError."""

    def __init__(self, access: Access) -> None:
        shared = _shared(access.config, access.connect_timeout, access.read_timeout)
        self._remote = Remote(shared, access.remote, access.root, access.place.rstrip("/"), access.connect_timeout)
        limits = Limits(access.connect_timeout, access.read_timeout, None)
        self._client = Client(limits, limits, None)
        self._fetchers = Fetchers(lambda: Fetcher(self._client.home))

    def items(self) -> Iterator[Listed]:
        """Yield the files folder by folder, or the single file, and the listing's end. Raise SourceError."""
        remote = self._remote
        with remote.used() as running:
            begun = running.log_size
            remote.features()
            if remote.root and (entry := remote.entry("")) is not None and not entry.is_folder:
                remote = self._remote = remote.above()
                counts = _Counts(remote.not_compared())
                yield self._item(entry, "", counts)
                end = "the source is one file, and it is there"
                yield ListingEnd(end, items=1, warnings=counts.files.warnings())
                return
            counts = _Counts(remote.not_compared())
            yield from self._walk("", counts)
            if said := left_out(running.said_since(begun).decode(errors="replace")):
                raise source_error(
                    "enumeration_failed", f"rclone left something out of its lists: {said}", remote.place
                )
        proof = f"rclone listed {counts.folders:,} folders to their ends; {remote.describe()}"
        yield ListingEnd(proof, warnings=counts.files.warnings())

    def _walk(self, top: str, counts: _Counts, ids: frozenset[str] = frozenset()) -> Iterator[Item]:
        """Yield what lies below a folder; `ids` are its own id and those of the folders that it lies in."""
        remote, alike = self._remote, Alike()
        require_depth(top, f"{remote.place}/{top}")
        waiting: list[tuple[str, frozenset[str], Nested | None]] = [(top, ids, None)]
        while waiting:
            folder, above, outer = waiting.pop()
            try:
                entries = remote.folder(folder)
            except SourceError as error:
                if folder == top or error.code in _PASSING:
                    raise
                yield Item(folder, folder, failure=Failure(error.code, str(error)))
                continue
            counts.folders += 1
            if not entries and folder:
                empty = Failure("empty_folder", f"The folder is empty. [{remote.place}/{folder}]")
                yield Item(folder, folder, skipped=empty)
            nested = Nested(above=outer)
            for entry in entries:
                if entry.is_folder:
                    nested.add(entry.name)
            refused = alike.refuse(nested, f"{remote.place}/{folder}")
            if refused is not None:
                yield Item(folder, folder, failure=refused)
            seen: Counter[tuple[str, bool]] = Counter()
            for entry in entries:
                seen[entry.name, entry.is_folder] += 1
                if (number := seen[entry.name, entry.is_folder]) > 1:
                    yield twin_of(entry, folder, number, remote.place)
                elif not entry.is_folder:
                    yield self._item(entry, folder, counts)
                elif entry.id and entry.id in above:
                    yield loop_of(entry, folder, remote.place)
                elif (failure := too_deep(path := f"{folder}{entry.name}/", f"{remote.place}/{path}")) is not None:
                    yield Item(path, path, failure=failure)
                elif refused is None:
                    waiting.append((path, above | {entry.id} if entry.id else above, nested))

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now; nothing if it is gone; of a folder, what is in it, and the listing's end."""
        self._remote.features()
        if "?twin=" in item.id:
            yield item  # as it was listed, with its failure
            return
        try:
            entry = self._remote.entry(item.id)
        except SourceError as error:
            if error.code == "not_found":
                return
            raise
        if entry is None:
            return
        folder = item.id.rstrip("/").rpartition("/")[0]
        inside = f"{folder}/" if folder else ""
        if not entry.is_folder:
            yield self._item(entry, inside, _Counts(self._remote.not_compared()))
            return
        above = self._ids_above(folder) if entry.id else frozenset[str]()
        if entry.id in above:
            yield loop_of(entry, inside, self._remote.place)
            return
        counts = _Counts(self._remote.not_compared())
        for found in self._walk(f"{item.id.rstrip('/')}/", counts, above | {entry.id}):
            yield replace(found, expands=item.id)
        proof = f"rclone listed {counts.folders:,} folders to their ends"
        yield ListingEnd(proof, warnings=counts.files.warnings())

    def _ids_above(self, folder: str) -> frozenset[str]:
        """Return the ids of a folder and of those that it lies in, below the root, as a listing meets them."""
        names = folder.split("/") if folder else []
        found = (self._remote.entry("/".join(names[:count])) for count in range(1, len(names) + 1))
        return frozenset(entry.id for entry in found if entry is not None and entry.id)

    def _item(self, entry: Entry, folder: str, counts: _Counts) -> Item:
        item = item_of(entry, folder, has_times=self._remote.has_times)
        is_rewritten = self._remote.is_rewritten(entry.name)
        counts.files.count(entry, is_rewritten=is_rewritten)
        return replace(item, etag=None) if is_rewritten else item

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a file of any size."""
        if self._remote.is_rewritten(item.id):
            with self._copied(item) as content:
                yield content
            return
        with self._remote.used():
            download = Download(self._client, self._remote.target(item.id))
            try:
                try:
                    head = download.begin()
                except SourceError as error:
                    raise _meant(error) from error
                content = self._content(item, head, download.pieces())
                if content.size is None or content.size > SMALL_ITEM:
                    content.finish = partial(self._require_unchanged, item, self._remote.entry(item.id))
                yield content
            finally:
                download.close()

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small files, many at once, except for those that the service rewrites: a job reads these by `open`."""
        items = (item for item in items if not self._remote.is_rewritten(item.id))
        with self._fetchers.one() as fetcher, self._remote.used():
            many = Many(self._client, fetcher, target_of=self._target, whole=self._content)
            for item, got in many.read(items, concurrency):
                yield item, _meant(got) if isinstance(got, SourceError) else got

    @contextmanager
    def _copied(self, item: Item) -> Iterator[Content]:
        before = self._remote.entry(item.id)
        if before is None:
            raise source_error("not_found", "The file is not there any more", f"{self._remote.place}/{item.id}")
        with self._remote.copied(item.id) as file:
            yield Content(
                iter(partial(file.read, _CHUNK), b""),
                size=os.fstat(file.fileno()).st_size,
                modified=None if item.modified is None else before.modified,
                listed_size_counts=False,
                finish=partial(self._require_unchanged, item, before),
            )

    def _target(self, item: Item) -> Target:
        return self._remote.target(item.id)

    def _content(self, item: Item, head: Head, chunks: Iterable[bytes]) -> Content:
        etag = item.etag
        modified = None if item.modified is None else modified_of(head.headers.get(b"last-modified"), item.modified)
        if not item.is_current:  # what an earlier listing said of it is not known any more
            entry = self._remote.entry(item.id)
            etag = None if entry is None else entry.hash
            modified = entry.modified if entry is not None and self._remote.has_times else None
        stated = stated_hash(etag)
        hashes: dict[str, Any] = {} if stated is None else {stated[0]: stated[1]}
        return Content(
            chunks,
            size=whole_number(head.headers.get(b"content-length", "")),
            modified=modified,
            **hashes,
        )

    def _require_unchanged(self, item: Item, before: Entry | None) -> None:
        """Raise SourceError if a file is another one after its last byte than when it was opened."""
        after = self._remote.entry(item.id)
        if before is None or after is None or (before.size, before.modified, before.hash) != (
            after.size, after.modified, after.hash
        ):  # fmt: skip
            what = "The file was changed, or deleted, while it was read"
            raise source_error("changed_during_read", what, f"{self._remote.place}/{item.id}")


@dataclass
class _Counts:
    files: NotCompared
    folders: int = 0


def _meant(error: SourceError) -> SourceError:
    """Return the error with the code that rclone's text implies: rclone answers most failures with status 500."""
    if error.http_status is None or error.http_status < 500:
        return error
    text, _, place = str(error).rpartition(" [")
    if stated := _STATED.search(text):
        text = stated[1].replace('\\"', '"')
    return rclone_error(text, place.rstrip("]"), error.http_status)
