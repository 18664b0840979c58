"""Sources whose items can be read by ranges of their bytes, as what lies inside an item needs it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from prefect_collect.sources._item import Content, Item
from prefect_collect.sources._source import Source


@runtime_checkable
class RangedSource(Source, Protocol):
    """A source of files, the insides of which (the entries of a ZIP file, the messages of an mbox) may be items.

    Folders and object stores are such sources. What reads archives takes any of them, and so needs nothing of its own
    for a bucket.
    """

    def open_range(self, item: Item, start: int, end: int) -> AbstractContextManager[Content]:
        """Open the bytes of an item from `start` to `end` (exclusive, and beyond `start`).

        The chunks are of the range; size, time and ETag are of the whole item. A range may end where the item does.
        """

    def location(self) -> str:
        """Return where the source is, as a user writes it."""

    def place(self, item: Item | None = None) -> str:
        """Return an item's full location, or the source's."""
