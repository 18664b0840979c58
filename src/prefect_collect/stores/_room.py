"""Sending parts in the background, with a limit on the bytes of parts that are in memory at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final


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


ROOM: Final = Room(64 << 20)
"""Shared by all uploads of the process, so that memory does not grow with the number of shards in work."""


def in_room(pool: ThreadPoolExecutor, size: int, work: Callable[[], None]) -> Future[None]:
    """Wait for room for that many bytes, then have a thread do the work; the room is free again when it is done.

    The caller waits, not the thread: threads that wait for room would keep those from working that give it back. A
    future that is canceled gives its room back too.
    """
    ROOM.take(size)
    try:
        future = pool.submit(work)
    except BaseException:
        ROOM.give(size)
        raise
    future.add_done_callback(lambda _: ROOM.give(size))
    return future
