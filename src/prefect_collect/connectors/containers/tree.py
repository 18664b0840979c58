"""The files of a folder or bucket, as those that look into files see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers import ids
from prefect_collect.connectors.containers.files import File, SourceFile
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.listing import proven
from prefect_collect.sources.ranges import RangedSource

_OF_ALL_FILES = ("bad_credentials", "connection_lost", "timeout", "throttled", "canceled")
"""Codes of errors that would hit the other files too: they end a listing, and not the look into one file."""


@dataclass
class FileTree:
    """The files of a source.

    Attributes:
        source: The source that holds the files.
        proof: What proved that the listing of the files is complete, once `files` has come to its end.
    """

    source: RangedSource
    proof: str = field(default="", init=False)

    def files(self) -> Iterator[File | Item]:
        """Yield every file, and as an item what the source only reports. Raise SourceError if that is not complete."""
        for listed in proven(self.source):
            if isinstance(listed, ListingEnd):
                self.proof = listed.proof
            elif listed.skipped is not None or listed.failure is not None:
                yield Item(
                    ids.file_id(listed.id), listed.path, listed.size, listed.modified, listed.etag, listed.version,
                    skipped=listed.skipped, failure=listed.failure,
                )  # fmt: skip
            else:
                yield SourceFile(self.source, listed)

    def file(self, file_id: str, path: str = "") -> SourceFile:
        """Return a file by its id; nothing is asked of the source yet."""
        return SourceFile(self.source, Item(ids.source_id(file_id), path or ids.source_id(file_id)))

    def inside(self, file: File) -> str:
        """Return how the paths of what lies in a file begin: its own path as a folder, "" if it is the whole source."""
        item = Item(ids.source_id(file.item.id), file.item.path)
        return "" if self.source.place(item) == self.source.location() else f"{file.item.path}/"

    def looked_into(self, file: File, inside: Iterator[Item]) -> Iterator[Item]:
        """Yield what is found in a file; if it cannot be read, last a folder that failed in place of the rest."""
        try:
            yield from inside
        except Exception as error:
            failure = self._failure(error, file.item)
            if failure is None or failure.code in _OF_ALL_FILES:
                raise
            yield Item(f"{file.item.id}!/", f"{file.item.path}/", failure=failure)

    def _failure(self, error: Exception, item: Item) -> Failure | None:
        if isinstance(error, SourceError):
            return Failure(error.code, str(error), error.http_status)
        return self.source.classify(error, item)


def again(item: Item, found: Iterator[Item]) -> Iterator[Listed]:
    """Yield what is found now in a file that could not be read to its end before, for a retry; last its end."""
    for each in found:
        if each.id == item.id:
            yield each  # it cannot be read now, either
            return
        yield Item(
            each.id, each.path, each.size, each.modified, each.etag, each.version, each.skipped, each.failure,
            expands=item.id,
        )  # fmt: skip
    yield ListingEnd("the file was read to its last byte")
