"""The progress of an attempt, and the watchers that are given it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic


@dataclass
class Progress:
    """The progress of an attempt: counted by its threads, read by the code that shows it."""

    phase: str = "Enumerating"
    waits_for: str = ""
    """While the job cannot start, a sentence that says what it waits for."""
    found: int = 0
    found_bytes: int = 0
    listing: bool = True
    settled: int = 0
    """Items that earlier attempts collected or skipped; the tolerated percentage of failures counts them too."""
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    bytes: int = 0
    elsewhere: int = 0
    """Items that the source only names; they are not attempted."""
    found_elsewhere: int = 0
    """Those of them that were found so far, which are counted in `elsewhere` when their shard is collected."""
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
        elsewhere: int = 0,
        found_elsewhere: int = 0,
    ) -> None:
        """Add to the counts."""
        with self._lock:
            self.found += found
            self.found_bytes += found_bytes
            self.succeeded += succeeded
            self.failed += failed
            self.skipped += skipped
            self.bytes += bytes
            self.elsewhere += elsewhere
            self.found_elsewhere += found_elsewhere

    @property
    def done(self) -> int:
        """The number of items with an outcome."""
        return self.succeeded + self.failed + self.skipped + self.elsewhere

    @property
    def could_succeed(self) -> int:
        """The number of items, those of earlier attempts included, of which the tolerated percentage may fail.

        Items that are elsewhere are left out, as in the success rate.
        """
        return self.found - self.found_elsewhere + self.settled

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return monotonic() - self.started


_watchers: list[Callable[[str, Progress], None]] = []


@contextmanager
def watching(watcher: Callable[[str, Progress], None]) -> Iterator[None]:
    """Within this context, call `watcher` with the id and progress of each job that this process starts.

    For a job in the queue it is also called each time the reason for the wait changes.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def announce(job_id: str, progress: Progress) -> None:
    """Call this process's watchers for a job that starts, or whose reason to wait changed."""
    for watcher in _watchers:
        watcher(job_id, progress)
