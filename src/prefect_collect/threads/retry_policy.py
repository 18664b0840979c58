"""How often something is tried that fails for a passing reason, and how long to wait in between."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often an item is tried and how long to wait in between (seconds, doubling, with jitter).

    Waiting is `Stop.wait`, so that a cancel ends it, and each try is counted in the ledger. stamina, which makes the
    other retries, has no pause that can be ended.
    """

    tries: int = 5
    wait_initial: float = 0.2
    wait_max: float = 10.0

    def pause(self, tried: int) -> float:
        """Seconds to wait after that many tries."""
        return min(self.wait_max, self.wait_initial * 2.0 ** (tried - 1) + random.uniform(0, self.wait_initial))
