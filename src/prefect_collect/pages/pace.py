"""How fast an attempt goes, and how long it may still take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Final

from prefect_collect.threads.progress import Progress

RECENT: Final = 10.0
"""Seconds that the throughput shown is of."""

LONG: Final = 60.0
"""Seconds that the estimate of the time left is based on: calmer than what is shown."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Items and bytes per second."""

    items: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds until what was found is done; a lower bound while the source is still being listed."""

    seconds: float
    at_least: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    items: int
    bytes: int


class Pace:
    """The last minute of an attempt's progress, as far as it was looked at; for one thread."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def look(self, progress: Progress, at: float | None = None) -> None:
        """Take down how far it is now; `at` is a time of `time.monotonic`."""
        now = monotonic() if at is None else at
        self._samples.append(_Sample(now, progress.done, progress.bytes))
        # One sample older than the window is kept, so that the window is full.
        while len(self._samples) > 2 and self._samples[1].at <= now - LONG:
            self._samples.popleft()

    def recent(self) -> Rate:
        """The throughput of about the last 10 seconds; 0 until it was looked at twice."""
        return self._over(RECENT)

    def left(self, progress: Progress) -> TimeLeft | None:
        """How long the rest may take: by items or by bytes, whichever takes longer; None if nothing tells."""
        items = progress.found - progress.done
        if items <= 0:
            return None
        rate = self._over(LONG)
        waits = []
        if rate.items > 0:
            waits.append(items / rate.items)
        if rate.bytes > 0 and progress.found_bytes:
            waits.append(_bytes_left(progress) / rate.bytes)
        return TimeLeft(max(waits), progress.listing) if waits else None

    def _over(self, seconds: float) -> Rate:
        if len(self._samples) < 2:
            return Rate()
        last = self._samples[-1]
        first = self._samples[0]
        for sample in self._samples:
            if sample.at > last.at - seconds:
                break
            first = sample
        took = last.at - first.at
        if took <= 0:
            return Rate()
        # What was staged can be taken back (a segment that could not be written): no rate is negative.
        return Rate(max(0, last.items - first.items) / took, max(0, last.bytes - first.bytes) / took)


def _bytes_left(progress: Progress) -> float:
    """The bytes not read yet, if those that failed or were skipped are as large as the average."""
    without = (progress.failed + progress.skipped) * progress.found_bytes / progress.found
    return max(0.0, progress.found_bytes - progress.bytes - without)
