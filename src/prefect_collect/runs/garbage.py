"""Leave the objects that a process already has out of the interpreter's searches for garbage while a job runs.

Most of them are objects of Prefect's modules, some hundred thousand. A search of all of them takes 0.15 s of CPU, as
long as an export of 5,000 items, and a job makes enough new objects to cause one.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Frozen:
    """Counts the jobs that run, in all threads, and remembers whether the first one froze the objects (`gc.freeze`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contexts = 0
        self._is_ours = False

    def enter(self) -> None:
        """Freeze the objects that are there, unless the program has frozen some itself."""
        with self._lock:
            self._contexts += 1
            if self._contexts == 1 and gc.isenabled() and not gc.get_freeze_count():
                gc.freeze()
                self._is_ours = True

    def leave(self) -> None:
        """Unfreeze them when the last job ends."""
        with self._lock:
            self._contexts -= 1
            if self._is_ours and not self._contexts:
                gc.unfreeze()
                self._is_ours = False


_frozen = _Frozen()


@contextmanager
def new_garbage_only() -> Iterator[None]:
    """In this context, search only the objects that are made in it for garbage; after it, all objects again."""
    _frozen.enter()
    try:
        yield
    finally:
        _frozen.leave()
