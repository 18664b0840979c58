"""A limit on bytes that are in memory at once, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from prefect_collect.threads.pool import Pool


class ByteBudget:
    """A number of bytes that threads reserve parts of, and wait for when it is used up.

    A reservation larger than the whole budget is granted when nothing else is reserved.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.reserved = 0
        self._changed = threading.Condition()

    def acquire(self, size: int) -> None:
        """Reserve that many bytes; wait until they are free."""
        with self._changed:
            self._changed.wait_for(lambda: not self.reserved or self.reserved + size <= self._size)
            self.reserved += size

    def release(self, size: int) -> None:
        """Give back bytes that were reserved."""
        with self._changed:
            self.reserved -= size
            self._changed.notify_all()


UPLOADS: Final = ByteBudget(64 << 20)
"""Shared by all uploads of the process, so that memory does not grow with the number of shards at work."""


def submit_within_budget(pool: Pool, size: int, work: Callable[[], None]) -> Future[None]:
    """Reserve memory for an upload, then submit it; the memory is released when the upload ends or is canceled.

    The caller waits, not a thread of the pool: threads that wait for memory would keep those from working that release
    it.
    """
    UPLOADS.acquire(size)
    try:
        future = pool.submit(work)
    except BaseException:
        UPLOADS.release(size)
        raise
    future.add_done_callback(lambda _: UPLOADS.release(size))
    return future
