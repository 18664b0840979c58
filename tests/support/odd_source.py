"""A data source with some odd items: odd as the listing describes them, or as they are opened."""

# ruff: noqa: D102 - the methods are those of the protocol.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect_collect.codes import Failure
from prefect_collect.sources import Content, Item, Listed, ListingEnd
from prefect_collect.stores import Store

BYTES = b"abcdef"
"""The bytes of each item."""

GOOD = ("item/0", "item/1", "item/8", "item/9")


def odd_id(number: int) -> str:
    """Return the id of an odd item, before it is made odd."""
    return f"item/2-{number:02}"


def as_it_is(said: Any) -> Any:
    """Return the value unchanged."""
    return said


@dataclass
class OddSource:
    """Four good items of six bytes, with the odd ones among them: what each of `odd` makes of a good one.

    They are odd as the listing describes them or, with `opening`, as they are opened. With `sized`, the listing states
    the sizes, so that the items are read many at a time.
    """

    odd: Sequence[Callable[[Any], Any]] = ()
    opening: bool = False
    sized: bool = True
    understood: Callable[[Exception], Any] = lambda error: None
    name: str = "odd"

    def items(self) -> Iterator[Listed]:
        yield from map(self._item, GOOD[:2])
        for number, odd in enumerate(self.odd):
            item = self._item(odd_id(number))
            yield item if self.opening else odd(item)
        yield from map(self._item, GOOD[2:])
        yield ListingEnd("all were given", items=len(GOOD) + len(self.odd))

    def _item(self, id_: str) -> Item:
        return Item(id_, f"{id_}.txt", len(BYTES) if self.sized else None)

    def relist(self, item: Item) -> Iterator[Listed]:
        found = (listed for listed in self.items() if not isinstance(listed, ListingEnd))
        return (listed for listed in found if getattr(listed, "id", None) == item.id)

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        content = Content([BYTES])
        odd = {odd_id(number): odd for number, odd in enumerate(self.odd if self.opening else ())}
        yield odd.get(item.id, as_it_is)(content)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        for item in items:
            try:
                with self.open(item) as content:
                    yield item, content
            except Exception as error:
                yield item, error

    def overlap(self, store: Store) -> None:
        return None

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        return self.understood(error)  # type: ignore[no-any-return]
