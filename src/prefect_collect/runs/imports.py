"""Import what a command needs in less time: most of its time is that of Prefect's import."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing(*, freeze: bool = False) -> Iterator[None]:
    """Import in this context, as long as Prefect is not imported yet.

    What is imported stays, so the interpreter does not search it for garbage again and again meanwhile; and with
    `freeze` not later either, nor when it ends: that is a third of the CPU of a command. Only the command line may ask
    for that: the garbage that another program has by then would never be freed.
    """
    if "prefect" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()
