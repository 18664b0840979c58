"""Connections that all sources of a process share, and that its forks do not use."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

_MOST: Final = 8


def per_process(make: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """Wrap a function so that it makes one thing for the same arguments in a process, the last few of which it keeps.

    A fork makes its own: it must not use the connections of the process that it was forked from.
    """
    made: Any = lru_cache(maxsize=_MOST)(lambda _process, *args: make(*args))

    @wraps(make)
    def kept(*args: *Ts) -> T:
        found: T = made(os.getpid(), *args)
        return found

    return kept
