"""Places for so many threads at once, given in the order in which they were asked for."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Places:
    """A semaphore whose waiting threads are not passed over; use it as a context manager.

    A thread that gives its place back and asks for one again at once would get it before one that waits, if that had
    to wake up first, as those of `threading.Semaphore` have.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many threads wait for a place."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
