"""How the minutes of a run are shared out: each row has a share of what is left, and takes fewer rounds if slow."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

_ROUND: Final = 0.8
"""A further round is begun if so much of its expected time is left."""

_GRACE: Final = 90.0
"""Seconds beyond those that are shared out, for what a row cannot leave out."""


class TooSlow(Exception):
    """A row took much longer than its allowance, or no time is left."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the main thread if the block takes longer."""

    def too_slow(*_: object) -> None:
        raise TooSlow(f"stopped after {seconds:.0f} s, as the time of the run would not suffice")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Allowance:
    """The seconds that one row may take; `clock` is the time on the clock."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def used(self) -> float:
        """The seconds since the row began."""
        return self.clock() - self._began

    def permits(self, seconds: float) -> bool:
        """Return whether a round that is expected to take so long may be begun."""
        return self.seconds - self.used >= _ROUND * seconds

    def part(self, parts: int) -> Allowance:
        """Return one of so many equal parts of what is left."""
        return Allowance(max(0.0, self.seconds - self.used) / parts, self.clock)


@dataclass
class Budget:
    """The seconds of a whole run, of which each row gets its share of those that are left.

    `shares` has the seconds that each row takes on an idle machine, in the order of the rows. On a slower one all rows
    get less than they would need, and take fewer rounds; what a row leaves is for the rows after it.
    """

    seconds: float
    shares: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def used(self) -> float:
        """The seconds since the run began."""
        return self.clock() - self._began

    def allowance(self, name: str) -> Allowance:
        """Return what the next row may take: more than its share only if time is left over."""
        left = sum(share for other, share in self.shares.items() if other not in self._done)
        self._done.add(name)
        return Allowance(max(0.0, self.seconds - self.used) * self.shares[name] / left, self.clock)

    def patience(self, allowance: Allowance) -> float:
        """Return after how many seconds a row is stopped: much more than its allowance, not after the run's end."""
        return min(_GRACE + 3 * allowance.seconds, self.seconds + _GRACE - self.used)

    def rounds(self, name: str, allowance: Allowance, rounds: int) -> int:
        """Return how many rounds fit into an allowance, of as many as fit into the row's share; one at least."""
        return max(1, min(rounds, round(rounds * allowance.seconds / self.shares[name])))
