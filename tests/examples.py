"""How much the tests try: a quick run (`make quick`) tries a tenth of the examples of property tests and of large
inputs, and each ninth instant of tests that try all instants of a job; it leaves out what takes long because of its
size.
"""

from __future__ import annotations

import os
from typing import Final

QUICK: Final = bool(os.environ.get("QUICK"))

STEP: Final = 9 if QUICK else 1
"""The step of the instants to try: ``range(0, total, STEP)``."""

EXPLORE: Final = bool(os.environ.get("EXPLORE"))
"""Whether property tests try other examples in each run (`make explore`); else they try the same ones, so that a run
fails for what was changed and not by chance.
"""

LARGE: Final = os.environ.get("LARGE") == "all"
"""Whether each source also collects 10,000 items, and an item of 5 GB (`make large`)."""


def examples(count: int) -> int:
    """Return how many of `count` examples to try, or of what parts a large input is made."""
    return max(3, count // 10) if QUICK else count
