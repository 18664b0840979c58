"""The number of tries after temporary errors, and the pauses between them."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How many times an item is tried, and the seconds between tries: they double each time, with jitter.

    The pause is made with `Stop.wait`, so that a cancel ends it, and each try is counted in the ledger. stamina, which
    the other retries use, has no pause that can be interrupted.
    """

    tries: int = 5
    wait_initial: float = 0.2
    wait_max: float = 10.0

    def pause(self, tried: int) -> float:
        """Return the seconds to wait after `tried` tries."""
        return min(self.wait_max, self.wait_initial * 2.0 ** (tried - 1) + random.uniform(0, self.wait_initial))
