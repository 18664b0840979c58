"""The base class of sources whose items lie inside the files of a folder or bucket."""

from __future__ import annotations

import os
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Generic, TypeVar

from pydantic import BeforeValidator, Field, PrivateAttr

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.file_source import FileSource
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.codes import Failure
from prefect_collect.connectors.containers.tree import FileTree
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Content, Item, Lies, Listed, Overlap
from prefect_collect.sources.query import Query
from prefect_collect.stores import Store

if TYPE_CHECKING:
    from prefect_collect.blocks._converted import Converted

B = TypeVar("B", bound="InsideSource")
T = TypeVar("T")


def _holder(value: object) -> object:
    """Return the source at a path or URL; another value as it is."""
    if not isinstance(value, str):
        return value
    if not value:
        raise InvalidLocation("inside must be a path, a URL, or a source of files. [inside=]")
    return ObjectStoreSource(url=value) if "://" in value else FileSource(root=value)


_MOST_COPIED: Final = 8
"""The most blocks of which something is kept for copies that are still to come."""

if TYPE_CHECKING:  # so that type checkers accept a path or URL, as the validator does
    Holder = Converted[FileSource | ObjectStoreSource, str | FileSource | ObjectStoreSource]
else:
    Holder = Annotated[FileSource | ObjectStoreSource, BeforeValidator(_holder)]
    """The source that holds the files: a folder (or a single file) or a bucket."""


class InsideSource(DataSource, ABC):
    """The base class of sources whose items lie inside the files of another source.

    It takes any folder or bucket, with all that these blocks can: credentials, endpoints, links. So it knows nothing of
    either, and a subclass only says what lies inside.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        inside: The folder, file or bucket that holds the files: a source of files, or its path or URL.
    """

    scheme: ClassVar[str]
    """How the source's location begins: ``mbox`` of ``mbox:/srv/mail``."""

    inside: Holder = Field(
        description="The folder, file or bucket that holds the files: a File Source or an Object Store Source.",
    )

    _origin: str = PrivateAttr(default_factory=lambda: uuid.uuid4().hex)
    """What this block and its copies have in common, and no other block, not even one that was loaded of the same."""

    @abstractmethod
    def items_for(self, query: Query | None) -> Iterator[Listed]:
        """Yield what lies inside the files, without files of which the query takes nothing."""

    @abstractmethod
    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item. Raise SourceError, OSError."""

    def items(self) -> Iterator[Listed]:
        """Yield what lies inside the files, and the listing's end. Raise SourceError, OSError."""
        return self.items_for(None)

    def location(self) -> str:
        """Return the location of the files, after the kind of source: ``mbox:/srv/mail``."""
        return f"{self.scheme}:{self.inside.location()}"

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Return what an exception means; the source of the files knows its own."""
        return super().classify(error, item) or self.inside.classify(error, item)

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the files and a store have in common. Raise InvalidLocation if the store lies among them."""
        found = self.inside.overlap(store)
        if found is not None and found.lies is Lies.INSIDE:
            raise InvalidLocation(
                "The store lies in the folder whose files are looked into, which would find its own copies there; use "
                f"a store outside. [store={store.url}]"
            )
        return found

    def _tree(self) -> FileTree:
        """Return the files, with what was learned of them; it is kept as long as this block."""
        return _trees.of(self)


class Kept(Generic[B, T]):
    """Something for each block in use. It is not kept in the block, which is copied and sent to other processes.

    A process that unpickles a block for each shard of a job has it once for all of them. After a fork it is made again,
    as its locks may be held.
    """

    def __init__(self, make: Callable[[B], T]) -> None:
        self._make = make
        self._known: dict[tuple[int, int], tuple[weakref.ref[B], T]] = {}
        self._of_copies: dict[tuple[str, str, int], T] = {}

    def of(self, block: B) -> T:
        """Return what belongs to a block and its copies; it is made when it is first asked for."""
        key = (id(block), os.getpid())
        known = self._known.get(key)
        if known is None or known[0]() is not block:
            found = self._of_copy(block)
            known = self._known[key] = (weakref.ref(block, lambda _: self._known.pop(key, None)), found)
        return known[1]

    def _of_copy(self, block: B) -> T:
        key = (block._origin, block.location(), os.getpid())
        found = self._of_copies.get(key)
        if found is None:
            found = self._of_copies.setdefault(key, self._make(block))
            for old in list(self._of_copies)[:-_MOST_COPIED]:
                self._of_copies.pop(old, None)
        return found


def _made(block: InsideSource) -> FileTree:
    return FileTree(block.inside)


_trees = Kept(_made)
