"""Keep the interpreter from searching for garbage, while a job runs, what the process held before.

That are the hundreds of thousands of objects of Prefect's modules: each full search takes 0.15 s of CPU, as long as an
export of 5,000 items, and a job makes enough objects for one.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Frozen:
    """How many contexts need what was there to be frozen, in all threads; whether it is, by them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contexts = 0
        self._is_ours = False

    def enter(self) -> None:
        """Freeze what is there, unless the program has done so itself."""
        with self._lock:
            self._contexts += 1
            if self._contexts == 1 and gc.isenabled() and not gc.get_freeze_count():
                gc.freeze()
                self._is_ours = True

    def leave(self) -> None:
        """Have it searched again, when no other context needs it."""
        with self._lock:
            self._contexts -= 1
            if self._is_ours and not self._contexts:
                gc.unfreeze()
                self._is_ours = False


_frozen = _Frozen()


@contextmanager
def new_garbage_only() -> Iterator[None]:
    """In this context only objects that are made in it are searched for garbage; afterwards all are, as ever."""
    _frozen.enter()
    try:
        yield
    finally:
        _frozen.leave()
