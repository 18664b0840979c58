"""The files of a folder or bucket, as those that look into files see them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.entries import Directory, Entry, entries
from prefect_collect.connectors.containers.files import RETRY, Archive, File, SourceFile
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.listing import proven
from prefect_collect.sources.query import Query
from prefect_collect.sources.ranges import RangedSource

_KEPT: Final = 8
"""The files that are kept for the next item in them, each with up to 20 MB of what was unpacked of it."""

_OF_ALL_FILES: Final = ("bad_credentials", "connection_lost", "timeout", "throttled", "canceled")
"""Codes of errors that would hit the other files too: they end a listing, and not the look into one file."""


T = TypeVar("T")


@dataclass
class FileTree:
    """The files of a source.

    Attributes:
        source: The source that holds the files.
        proof: What proved that the listing of the files is complete, once `files` has come to its end.
    """

    source: RangedSource
    proof: str = field(default="", init=False)
    _entries: dict[str, Entry] = field(default_factory=dict, init=False, repr=False)
    _directories: dict[str, Directory] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def files(self) -> Iterator[SourceFile | Item]:
        """Yield every file, and as an item what the source only reports. Raise SourceError if that is not complete."""
        for listed in proven(self.source):
            if isinstance(listed, ListingEnd):
                self.proof = listed.proof
            elif listed.unread is not None:
                yield Item(
                    ids.file_id(listed.id), listed.path, listed.size, listed.modified, listed.etag, listed.version,
                    skipped=listed.skipped, failure=listed.failure, elsewhere=listed.elsewhere,
                )  # fmt: skip
            else:
                yield SourceFile(self.source, listed, tries=RETRY.tries)

    def file(self, file_id: str, path: str = "") -> Archive:
        """Return a file by its id, of the source or in a ZIP file. Raise SourceError if its ZIP file is another one."""
        place = ids.entry_of(file_id)
        if place is None:
            return SourceFile(self.source, Item(ids.source_id(file_id), path or ids.source_id(file_id)))
        with self._lock:
            found = self._entries.pop(file_id, None) or self._directory(place.file).entry(place.name, place.at)
            self._entries[file_id] = found  # the last one used is the last to go
            while len(self._entries) > _KEPT:
                del self._entries[next(iter(self._entries))]
            return found

    def forget(self) -> None:
        """Look at every file again, as some may have changed."""
        with self._lock:
            self._entries.clear()
            self._directories.clear()

    def _directory(self, file_id: str) -> Directory:
        known = self._directories.pop(file_id, None) or Directory(self.file(file_id))
        self._directories[file_id] = known
        while len(self._directories) > _KEPT:
            del self._directories[next(iter(self._directories))]
        return known

    def inside(self, file: File) -> str:
        """Return how the paths of what lies in a file begin: its own path as a folder, "" if it is the whole source."""
        item = Item(ids.source_id(file.item.id), file.item.path)
        is_whole = "!" not in file.item.id and self.source.place(item) == self.source.location()
        return "" if is_whole else f"{file.item.path}/"

    def may_hold(self, file: File, query: Query) -> bool:
        """Return whether a query may take something that lies in a file."""
        inside = self.inside(file)
        return not inside or query.may_match_below(inside)

    def entries(self, archive: Archive) -> Iterator[File | Item]:
        """Yield the entries of a ZIP file, each with its path below that of the ZIP file. Raise SourceError."""
        inside = self.inside(archive)
        for found in entries(archive, inside):
            if isinstance(found, Entry):
                found.item = replace(found.item, path=f"{inside}{found.item.path}")
            yield found

    def looked_into(self, file: File, inside: Iterator[T]) -> Iterator[T | Item]:
        """Yield what is found in a file; if it cannot be read, last a folder that failed in place of the rest."""
        try:
            yield from inside
        except Exception as error:
            yield Item(
                f"{file.item.id}!/", f"{file.item.path}/", failure=self.failure(error, file), holds=self.inside(file)
            )

    def failure(self, error: Exception, file: File) -> Failure:
        """Return what an error says of a file. Raise it if it would hit all other files, or is not the source's."""
        known: Failure | None
        if isinstance(error, SourceError):
            known = Failure(error.code, str(error), error.http_status)
        else:
            known = self.source.classify(error, file.item)
        if known is None or known.code in _OF_ALL_FILES:
            raise error
        return known


def again(item: Item, found: Iterator[Item]) -> Iterator[Listed]:
    """Yield what is found now in a file that could not be read to its end before, for a retry; last its end."""
    for each in found:
        if each.id == item.id:
            yield each  # it cannot be read now, either
            return
        yield replace(each, expands=item.id)
    yield ListingEnd("the file was read to its last byte")
