"""The files of a source by ranges; a connection that breaks is taken up again where it broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from prefect_collect.connectors.containers import ids
from prefect_collect.errors import SourceError
from prefect_collect.sources import Content, Item
from prefect_collect.sources.ranges import RangedSource
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

WINDOW: Final = 1 << 20
"""Bytes that are worth a request of their own."""

RETRY: Final = RetryPolicy()
"""How a listing takes up a read that breaks off."""


class File(Protocol):
    """A file whose bytes can be read from any place on: of a source, or of a ZIP file."""

    item: Item
    """The file as an item of its own."""

    @property
    def size(self) -> int:
        """The number of its bytes."""

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` to `end`, or to the file's end. Raise SourceError if there are fewer."""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end."""

    def open(self) -> AbstractContextManager[Content]:
        """Open the whole file as an item."""


class Archive(File, Protocol):
    """A file that holds others: a ZIP file, of a source or in another ZIP file."""

    @property
    def place(self) -> str:
        """The file's full location."""

    @property
    def mark(self) -> str | None:
        """What the file was known by when it was first read or listed."""

    @property
    def window(self) -> int:
        """The number of bytes to read at a time."""

    def close(self) -> None:
        """Do nothing: no file stays open."""


class SourceFile:
    """A file of a source.

    Args:
        source: The source.
        item: The file, as the source lists it, or by its id alone.
        tries: How often a read that breaks off is taken up again: in a listing. An item's read is tried again by the
            job.
    """

    window: Final = WINDOW

    def __init__(self, source: RangedSource, item: Item, *, tries: int = 1) -> None:
        self._source, self._inner, self._tries = source, item, tries
        self._mark: str | None = None if item.size is None else mark(item.etag, item.size, item.modified)
        self.item = replace(item, id=ids.file_id(item.id))

    @property
    def size(self) -> int:
        """The number of its bytes."""
        if self._inner.size is None:
            now = next((found for found in self._source.relist(self._inner) if isinstance(found, Item)), None)
            if now is None or now.size is None:
                raise SourceError(f"The file is not there any more. [{self.place}]", code="not_found")
            self._inner = replace(self._inner, size=now.size)
        assert self._inner.size is not None
        return self._inner.size

    @property
    def place(self) -> str:
        """The file's full location."""
        return self._source.place(self._inner)

    @property
    def mark(self) -> str | None:
        """What the file was known by when it was first read or listed: its ETag, or its size and time."""
        return self._mark

    def stream(self, start: int = 0, end: int | None = None) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` to `end`, or to the file's end.

        Raise SourceError (`changed_during_read`) if the file is another one than before, or ends too soon.
        """
        end = self.size if end is None else end
        tried = 0
        while start < end:
            try:
                with self._source.open_range(self._inner, start, end) as content:
                    self._require_same(content)
                    for chunk in content.chunks:
                        start += len(chunk)
                        tried = 0
                        yield chunk
            except SourceError as error:
                tried += 1
                if not error.transient or tried >= self._tries:
                    raise
            else:
                if start < end:
                    what = f"The file ends at byte {start}, before {end}"
                    raise SourceError(f"{what}: it has become shorter. [{self.place}]", code="changed_during_read")
            if start < end:
                current_stop().wait(RETRY.pause(tried))
                current_stop().require_going()

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end."""
        return b"".join(self.stream(start, min(end, self.size)))

    def open(self) -> AbstractContextManager[Content]:
        """Open the whole file, as its source does."""
        return self._source.open(self._inner)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _require_same(self, content: Content) -> None:
        now = mark(content.etag, content.size, content.modified)
        if self._mark is not None and now != self._mark:
            raise SourceError(
                f"The file was changed after it was listed or begun: it was {self._mark} and is {now}. [{self.place}]",
                code="changed_during_read",
            )
        self._mark = now


def mark(etag: str | None, size: int | None, modified: datetime | None) -> str:
    """Return by what a file is known as the same as before: its ETag, or its size and time."""
    return etag or f"{size} bytes of {modified.isoformat() if modified is not None else 'an unknown time'}"
