"""The base class of sources that are exports of other systems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from prefect_collect.blocks._inside import InsideSource, Kept
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.sources.query import Query

if TYPE_CHECKING:
    from prefect_collect.connectors.foreign_exports.export import Export
    from prefect_collect.connectors.foreign_exports.layout import Format


class ExportSource(InsideSource, ABC):
    """The base class of sources that are exports of other systems; a subclass says how they are laid out (`layout`)."""

    @classmethod
    @abstractmethod
    def layout(cls) -> Format:
        """Return how such exports are laid out."""

    def items_for(self, query: Query | None) -> Iterator[Listed]:
        """Yield the export's files and messages, what is missing, and the listing's end. Raise SourceError, OSError."""
        return self._export().items(query)

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as it is now; of what was missing, what is there now."""
        return self._export().relist(item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item of any size; its bytes are streamed. Raise SourceError, OSError."""
        return self._export().open(item)

    def _export(self) -> Export:
        return _exports.of(self)


def _made(block: ExportSource) -> Export:
    from prefect_collect.connectors.foreign_exports.export import Export

    return Export(block._tree(), block.layout())


_exports = Kept(_made)
