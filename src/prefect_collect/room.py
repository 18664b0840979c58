"""A limit on bytes that are in memory at once, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Bytes that may be in memory at once; something larger than all of it gets in when nothing else is."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self.taken or self.taken + size <= self._size)
            self.taken += size

    def give(self, size: int) -> None:
        """Give it back."""
        with self._changed:
            self.taken -= size
            self._changed.notify_all()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Room for that many bytes, given back at the end."""
        self.take(size)
        try:
            yield
        finally:
            self.give(size)
