"""The throughput of an attempt, and an estimate of the time left."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Final

from prefect_collect.threads.progress import Progress

RECENT: Final = 10.0
"""Seconds over which the shown throughput is measured."""

LONG: Final = 60.0
"""Seconds over which the throughput for the time left is measured: longer, so that the estimate is steadier."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Items and bytes per second."""

    items: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The estimated seconds until all items found so far are done; `at_least` while the source is still listed."""

    seconds: float
    at_least: bool


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    items: int
    bytes: int


class Pace:
    """Samples of an attempt's progress in the last minute, taken by `look`; used by one thread."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def look(self, progress: Progress, at: float | None = None) -> None:
        """Take a sample of the progress; `at` is a time of `time.monotonic`, by default now."""
        now = monotonic() if at is None else at
        self._samples.append(_Sample(now, progress.done, progress.bytes))
        # Keep one sample that is older than the window, so that the samples span the whole window.
        while len(self._samples) > 2 and self._samples[1].at <= now - LONG:
            self._samples.popleft()

    def recent(self) -> Rate:
        """Return the throughput of about the last 10 seconds; 0 until there are two samples."""
        return self._over(RECENT)

    def left(self, progress: Progress) -> TimeLeft | None:
        """Return the estimated time left, by items or by bytes, whichever is longer; None if there is no estimate."""
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
        # Counts can go down (a segment could not be written, so its items are staged again): no rate is negative.
        return Rate(max(0, last.items - first.items) / took, max(0, last.bytes - first.bytes) / took)


def _bytes_left(progress: Progress) -> float:
    """Return the bytes that are not read yet, assuming that items without bytes are of average size."""
    without = (progress.done - progress.succeeded) * progress.found_bytes / progress.found
    return max(0.0, progress.found_bytes - progress.bytes - without)
