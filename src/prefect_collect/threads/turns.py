"""Small items are worked through by one thread of a process at a time, in turns of some milliseconds.

Each system call and each hash gives the interpreter's lock away. Of two threads that work through small items, each
then waits for the other at every item: on two cores they take a third more time than one, and twice its CPU. A turn is
a hint and no lock: a thread that waits for too long goes on without it, so nothing depends on how long another
thread keeps it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, TypeVar

T = TypeVar("T")

_LONGEST: Final = 0.01
"""Seconds of a turn, if others wait for it."""

_PATIENCE: Final = 0.06
_WITHOUT: Final = 0.2
"""Seconds for which a thread goes on without the turn when it has not got it; twice as many at each further time."""

_LOST: Final = 5.0


class Turn:
    """The turn, which its holder hands over to the thread that has waited longest; each has a number.

    Args:
        patience: The most seconds that a thread waits for it.
        lost: The seconds after which it is taken from a thread: that hangs, or waits for long and does not say so.
    """

    def __init__(self, patience: float = _PATIENCE, lost: float = _LOST) -> None:
        self._patience, self._lost = patience, lost
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._number = 0
        self._taken: float | None = None

    def take(self) -> int:
        """Wait for the turn; return its number, 0 if this thread has not got it."""
        with self._mutex:
            if self._taken is None or monotonic() - self._taken > self._lost:
                return self._next()
            handed = threading.Lock()
            handed.acquire()
            self._waiting.append(handed)
        is_handed = handed.acquire(timeout=self._patience)
        with self._mutex:
            if not is_handed and handed in self._waiting:
                self._waiting.remove(handed)
                return 0
            return self._next()

    def _next(self) -> int:
        self._number, self._taken = self._number + 1, monotonic()
        return self._number

    def give(self, number: int) -> None:
        """Hand it over, or leave it to whoever comes; do nothing if it was taken from this thread."""
        with self._mutex:
            if number != self._number:
                return
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = None

    @property
    def is_wanted(self) -> bool:
        """Return whether other threads wait for it."""
        return bool(self._waiting)


class _Held(threading.local):
    """The number of a thread's turn (0: none), until when it goes on without, and how often it has not got it."""

    number = 0
    without = 0.0
    missed = 0


_turn: Final = Turn()
_held: Final = _Held()


def _take() -> None:
    if not _held.number and monotonic() > _held.without:
        _held.number = _turn.take()
        if not _held.number:
            _held.without = monotonic() + _WITHOUT * 2 ** min(_held.missed, 6)
            _held.missed += 1


def _give() -> None:
    if _held.number:
        number, _held.number = _held.number, 0
        _turn.give(number)


@contextmanager
def while_waiting() -> Iterator[None]:
    """Give the thread's turn, if it has it, to others while it waits for something in this context."""
    had = _held.number
    _give()
    try:
        yield
    finally:
        if had:
            _take()


def in_turns(given: Iterable[T]) -> Generator[T, None, None]:
    """Yield each of `given`; the caller's work on it, and taking the next one, are done in the turns of this thread."""
    taken = monotonic()
    _take()
    try:
        for each in given:
            yield each
            if _turn.is_wanted and monotonic() - taken > _LONGEST:
                _give()
                _take()
                taken = monotonic()
    finally:
        _give()
