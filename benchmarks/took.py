"""What one run took."""

from __future__ import annotations

from typing import NamedTuple


class Took(NamedTuple):
    """Wall-clock seconds, and seconds of CPU (user and system, of the process and its children; not of any server)."""

    seconds: float
    cpu: float = 0.0
