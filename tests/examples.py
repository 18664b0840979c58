"""How many examples a property test tries: a tenth of them where the tests are to be quick (`make quick`)."""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """Return how many of `count` examples to try."""
    return max(3, count // 10) if os.environ.get("QUICK") else count
