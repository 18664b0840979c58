"""Has the kernel end a child process when its parent is killed, as then no code of the parent runs that would do it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def end_with_parent(by: int) -> Callable[[], None]:
    """Return a function for a child of this process to call first: it is sent the signal `by` when this process ends.

    It ends the child at once if this process has ended already. What it needs is loaded now, not in the child.
    """
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PDEATHSIG, by)
        if os.getppid() != parent:
            os._exit(1)

    return ask
