"""How far an attempt is, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Progress:
    """How far an attempt is. Counted by its threads; read by whoever shows it."""

    phase: str = "Enumerating"
    waits_for: str = ""
    """What the job waits for, in a sentence, while it cannot start."""
    found: int = 0
    found_bytes: int = 0
    listing: bool = True
    settled: int = 0
    """Items that earlier attempts took or skipped: the tolerance of failures is measured against them too."""
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    bytes: int = 0
    started: float = field(default_factory=monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self,
        *,
        found: int = 0,
        found_bytes: int = 0,
        succeeded: int = 0,
        failed: int = 0,
        skipped: int = 0,
        bytes: int = 0,
    ) -> None:
        """Count more."""
        with self._lock:
            self.found += found
            self.found_bytes += found_bytes
            self.succeeded += succeeded
            self.failed += failed
            self.skipped += skipped
            self.bytes += bytes

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.succeeded + self.failed + self.skipped

    @property
    def seconds(self) -> float:
        """Since the start."""
        return monotonic() - self.started


_watchers: list[Callable[[str, Progress], None]] = []


@contextmanager
def watching(watcher: Callable[[str, Progress], None]) -> Iterator[None]:
    """Within it, `watcher` is given the id and the progress of each job of this process, when it starts.

    One that has to wait is given before, too, whenever that changes what it waits for.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def announce(job_id: str, progress: Progress) -> None:
    """Tell this process's watchers of a job that starts, or of what it waits for."""
    for watcher in _watchers:
        watcher(job_id, progress)
