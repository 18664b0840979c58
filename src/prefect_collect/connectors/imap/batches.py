"""Which messages one FETCH asks for: up to 100 of one folder, in the order of the listing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.connectors.imap.places import Place, place_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item

AT_ONCE: Final = 100
"""The messages that one FETCH of bodies is about."""

_AHEAD: Final = 2
"""The FETCH commands that the server has at once: it is never without work while an answer is received."""


@dataclass
class Batch:
    """Messages of one folder that one FETCH asks for, by UID; `tag` is that of the command, once it is sent."""

    folder: str
    items: dict[int, Item] = field(default_factory=dict)
    validity: int = 0
    tag: bytes = b""


class Batches:
    """The messages to read, in batches of one folder; at most `_AHEAD` batches are taken from `items` ahead."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._next: tuple[Item, Place] | None = None
        self._bad: deque[tuple[Item, SourceError]] = deque()
        self.waiting: deque[Batch] = deque()
        self.received: Item | None = None
        self.answered = 0

    def fill(self) -> None:
        """Take items until there are `_AHEAD` batches, or no more items."""
        while len(self.waiting) < _AHEAD and (batch := self._taken()) is not None:
            self.waiting.append(batch)

    def has_more(self) -> bool:
        """Return whether there are messages to read."""
        self.fill()
        return bool(self.waiting or self._bad)

    def bad(self) -> Iterator[tuple[Item, Exception]]:
        """Yield the items that are no messages, each with its error."""
        while self._bad:
            yield self._bad.popleft()

    def find(self, uid: int) -> Item | None:
        """Return the message that was asked for under this UID, of the folder that is read; None if none was."""
        return next((batch.items[uid] for batch in self._sent() if uid in batch.items), None)

    def take(self, uid: int) -> Item | None:
        """Return the message that was asked for under this UID, which is answered with that; None if none was."""
        for batch in self._sent():
            if uid in batch.items:
                self.answered += 1
                return batch.items.pop(uid)
        return None

    def _sent(self) -> Iterator[Batch]:
        return (batch for batch in self.waiting if batch.tag)

    def drop_received(self) -> Item | None:
        """Return the message that was being received, which is not asked for again here."""
        item, self.received = self.received, None
        if item is not None:
            self.take(place_of(item).uid)
        return item

    def drop_waiting(self) -> list[Item]:
        """Return the messages of the first batch that are not answered; they are not asked for again here."""
        if not self.waiting:
            return []
        self.answered += 1
        return [*self.waiting.popleft().items.values()]

    def _taken(self) -> Batch | None:
        batch: Batch | None = None
        while batch is None or len(batch.items) < AT_ONCE:
            found = self._next or self._following()
            self._next = None
            if found is None:
                break
            item, place = found
            if batch is None:
                batch = Batch(place.folder, validity=place.uidvalidity)
            if (place.folder, place.uidvalidity) != (batch.folder, batch.validity) or place.uid in batch.items:
                self._next = found
                break
            batch.items[place.uid] = item
        return batch

    def _following(self) -> tuple[Item, Place] | None:
        for item in self._items:
            try:
                return item, place_of(item)
            except SourceError as error:
                self._bad.append((item, error))
        return None
