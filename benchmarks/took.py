"""What one run took."""

from __future__ import annotations

from typing import NamedTuple


class Took(NamedTuple):
    """Wall-clock seconds of a whole run.

    `cpu`: seconds of CPU (user and system) of the process and its children, not of any server. `work`: of a job of
    ours, the seconds from its attempt's start to its end, as its result says; 0 for others.
    """

    seconds: float
    cpu: float = 0.0
    work: float = 0.0
