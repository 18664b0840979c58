"""Sources that keep something for the whole of an attempt, such as a snapshot of a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

from prefect_collect.sources._item import Item, Listed, ListingEnd
from prefect_collect.sources._source import Source


class InAttempt(Source, Protocol):
    """A source as an attempt uses it.

    Attributes:
        warnings: Sentences for the result of the attempt, complete at its end.
    """

    warnings: list[str]

    def marked(self, item: Item) -> Item:
        """Return an item as the attempt's inventory has it: with the mark by which `open` finds what is kept."""


class Spanning(Protocol):
    """A source whose class keeps something from the beginning of an attempt to its end."""

    def for_attempt(self, *, elsewhere: bool) -> AbstractContextManager[InAttempt]:
        """Return a context that keeps it, and yields the source for the attempt; `elsewhere` is whether other
        processes read the items too. It must not wait: what takes time begins with the first item.
        """


@dataclass
class AttemptSource:
    """A source of an attempt, and what it says at the end."""

    source: Source
    warnings: list[str] = field(default_factory=list)
    kept: InAttempt | None = None

    def marked(self, items: Iterable[Listed]) -> Iterator[Listed]:
        """Return the items of the attempt as its inventory has them."""
        kept = self.kept
        if kept is None:
            return iter(items)
        return (item if isinstance(item, ListingEnd) else kept.marked(item) for item in items)


@contextmanager
def for_attempt(source: Source, *, elsewhere: bool) -> Iterator[AttemptSource]:
    """Yield a source for an attempt; one whose class is `Spanning` keeps what it has to, to the end of the block."""
    # Of the class: a wrapper of a source that passes on all that it lacks has a listing of its own.
    if not hasattr(type(source), "for_attempt"):
        yield AttemptSource(source)
        return
    with cast("Spanning", source).for_attempt(elsewhere=elsewhere) as kept:
        yield AttemptSource(kept, kept.warnings, kept)
