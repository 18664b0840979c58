"""Sending parts in the background, with a limit on the bytes of parts that are in memory at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from prefect_collect.background import Pool
from prefect_collect.room import Room

ROOM: Final = Room(64 << 20)
"""Shared by all uploads of the process, so that memory does not grow with the number of shards in work."""


def in_room(pool: Pool, size: int, work: Callable[[], None]) -> Future[None]:
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
