"""How many items or requests are read at once: more as long as that is faster."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

FIRST: Final = 32
"""How many are read at once to begin with."""

MOST_BYTES: Final = 64 << 20
"""The most bytes of all reads under way together; a single larger read may exceed it."""

_GAIN: Final = 0.25
"""The least that more at once must gain, so that they are kept: with twice as many, a quarter more answers a second."""


class Window:
    """How many are read at once: twice as many as before, as long as a quarter more of them are answered a second.

    A server that is some milliseconds away answers more a second the more are asked for; where the server, this
    machine or the reader is the limit, more at once gain nothing.

    Args:
        most: The most at once.
        first: How many at once to begin with.
        clock: The seconds of a clock that is never set back.
    """

    def __init__(self, most: int, first: int = FIRST, clock: Callable[[], float] = monotonic) -> None:
        self.most, self._clock = most, clock
        self.size = self._size_before = min(first, most)
        self.begin()

    def begin(self) -> None:
        """Begin to read: the size found before is kept, and it is measured again whether more are faster."""
        self._is_settled = self.size >= self.most
        self._rate_before = 0.0
        self._skip()

    def answered(self) -> None:
        """Count an answer, and change the size when enough of them have come."""
        if self._is_settled:
            return
        self._answers += 1
        if self._answers == self.size:  # these were asked for before, or while the connections were made
            self._since = self._clock()
        elif self._answers == 3 * self.size:
            self._judge(2 * self.size / max(self._clock() - self._since, 1e-9))

    def _judge(self, rate: float) -> None:
        growth = self.size / self._size_before - 1
        if rate < self._rate_before * (1 + _GAIN * growth):
            self.size = self._size_before
            self._is_settled = True
        elif self.size >= self.most:
            self._is_settled = True
        else:
            self._rate_before, self._size_before = rate, self.size
            self.size = min(2 * self.size, self.most)
            self._skip()

    def _skip(self) -> None:
        self._answers, self._since = 0, 0.0
