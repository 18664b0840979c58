"""A mapping of what was used last, so that what a console keeps in memory does not grow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were put last, at most so many; not None. Its owner locks it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value; None if there is none."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep the value as the newest one, and drop the oldest ones if there are too many."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def of(self, key: K, make: Callable[[], V]) -> V:
        """Return the value as the newest one; if there is none, it is made."""
        found = self._values.get(key)
        value = make() if found is None else found
        self.put(key, value)
        return value

    def drop(self, key: K) -> None:
        """Drop the value, if there is one."""
        self._values.pop(key, None)
