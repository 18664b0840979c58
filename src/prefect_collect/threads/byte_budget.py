"""A limit on the bytes that several threads hold in memory at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from prefect_collect.threads.pool import Pool
from prefect_collect.threads.turns import while_waiting


class ByteBudget:
    """A number of bytes from which threads reserve, and wait when too few are free.

    A reservation larger than the whole budget is granted when nothing else is reserved.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.reserved = 0
        self._changed = threading.Condition()

    def divide(self, processes: int) -> None:
        """Make it the share of one of so many processes; call it before anything is reserved."""
        with self._changed:
            self._size //= processes

    def acquire(self, size: int) -> None:
        """Reserve `size` bytes; wait until they are free."""
        if self.try_acquire(size):
            return
        with while_waiting(), self._changed:
            self._changed.wait_for(lambda: not self.reserved or self.reserved + size <= self._size)
            self.reserved += size

    def try_acquire(self, size: int) -> bool:
        """Reserve `size` bytes if they are free; return whether they were."""
        with self._changed:
            if self.reserved and self.reserved + size > self._size:
                return False
            self.reserved += size
            return True

    def share(self, users: int) -> int:
        """Return the bytes that each of so many users may reserve, so that each has as many."""
        return self._size // max(1, users)

    def release(self, size: int) -> None:
        """Give back `size` reserved bytes."""
        with self._changed:
            self.reserved -= size
            self._changed.notify_all()


RANGES: Final = ByteBudget(64 << 20)
"""The budget of all large items of this process that are read as several ranges at once."""

UPLOADS: Final = ByteBudget(64 << 20)
"""The budget of all uploads of this process, so that memory does not grow with the number of shards in flight."""


def submit_within_budget(pool: Pool, size: int, work: Callable[[], None]) -> Future[None]:
    """Reserve `size` bytes of `UPLOADS` for an upload, then submit it; they are released when it ends or is canceled.

    The caller waits for the bytes, not a thread of the pool: pool threads that wait for bytes would block the very
    uploads that release them.
    """
    UPLOADS.acquire(size)
    try:
        future = pool.submit(work)
    except BaseException:
        UPLOADS.release(size)
        raise
    future.add_done_callback(lambda _: UPLOADS.release(size))
    return future
