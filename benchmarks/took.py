"""The time that one run took."""

from __future__ import annotations

from typing import NamedTuple


class Took(NamedTuple):
    """Wall-clock seconds of a whole run.

    `cpu`: seconds of CPU (user and system) of the process and its children, not of any server. `work`: for a job of
    prefect-collect, the seconds from its attempt's start to its end, as its result has them; 0 for other contenders.
    """

    seconds: float
    cpu: float = 0.0
    work: float = 0.0
