"""Whether the process of an attempt keeps a core busy by itself, so that its shards gain by other cores.

Measured while the attempt works, as nothing else tells it beforehand: how many items a source has is known when it is
listed to its end, and how fast its server is when it has been read from.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, process_time
from typing import Final

AFTER: Final = 3.0
"""Seconds of CPU after which an attempt is worth worker processes: to start them costs 1.4 s."""

_SHARE: Final = 0.7
"""The share of a core. The threads of one process take turns at one core, so more than that is seldom to be had: with
small objects of a bucket on the same machine it is 0.75, and two processes are a third faster than threads. Where a
server is the limit, or other programs need the cores, it is less."""


class BusyCore:
    """Measures the CPU of this process from now on.

    Args:
        cpu: Returns the seconds of CPU.
        clock: Returns the seconds of the clock.
    """

    def __init__(self, cpu: Callable[[], float] = process_time, clock: Callable[[], float] = monotonic) -> None:
        self._cpu, self._clock = cpu, clock
        self._began = cpu(), clock()

    def is_busy(self) -> bool:
        """Return whether the process has used `AFTER` seconds of CPU, and most of a core in all that time."""
        cpu, passed = self._cpu() - self._began[0], self._clock() - self._began[1]
        return cpu >= AFTER and cpu >= _SHARE * passed
