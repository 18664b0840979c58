"""What a running attempt's threads share: whether to stop, how far they are, how to retry."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from prefect_collect.codes import CODES
from prefect_collect.errors import JobCanceled
from prefect_collect.items import Failure

# stamina logs every scheduled retry; without a handler Python would print them on standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())

TRANSIENT: Final = frozenset(
    {"throttled", "timeout", "connection_lost", "source_error", "truncated", "checksum_mismatch"}
)
"""Codes of failures that are tried again within an attempt."""

_LOOK: Final = 0.2
"""Seconds between looks at whether a job was canceled."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often an item is tried and how long to wait in between (seconds, doubling, with jitter).

    Waiting is `Stop.wait`, so that a cancel ends it, and each try is counted in the ledger. stamina, which makes the
    other retries, has no pause that can be ended.
    """

    tries: int = 5
    wait_initial: float = 0.2
    wait_max: float = 10.0

    def pause(self, tried: int) -> float:
        """Seconds to wait after that many tries."""
        return min(self.wait_max, self.wait_initial * 2.0 ** (tried - 1) + random.uniform(0, self.wait_initial))


def too_many(failed: int, found: int, tolerated: float) -> Failure | None:
    """Why to stop early, if more than `tolerated` percent of the items found so far have failed (100: never)."""
    if tolerated >= 100 or not found or 100.0 * failed / found <= tolerated:
        return None
    return Failure(
        "threshold_exceeded", f"{failed} of {found} items failed, which is more than the tolerated {tolerated:g} %."
    )


GRACE: Final = 3.0
"""Seconds that a source has, after a cancel, to end what it is doing; then it is left behind (see `background`)."""

IN_A_ROW: Final = 20
"""Items in a row whose failure all others share (`Code.stops_job`) after which a job stops."""

CANCELED: Final = Failure("canceled", "The job was canceled before it came to this item.")


class Stop:
    """Set once, by the first that has a reason; everything else of the attempt then stops between items.

    A cancel is heard also after another reason: `canceled` then says so, and ends what that reason lets go on.
    """

    _in_a_row = 0

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.why: Failure | None = None
        self.canceled = False

    def set(self, why: Failure) -> None:
        """Stop, for this reason; a later one changes nothing, except that a cancel is noted too."""
        with self._lock:
            if why.code == "canceled":
                self.canceled = True
            if self.why is None:
                self.why = why
                self._event.set()

    def met(self, failure: Failure | None) -> None:
        """Count what an item met (None: it succeeded), and stop when `IN_A_ROW` met what all others will meet too.

        Only a success begins the count anew.
        """
        if failure is None:
            self._in_a_row = 0
        elif CODES[failure.code].stops_job:
            with self._lock:
                self._in_a_row += 1
                is_enough = self._in_a_row == IN_A_ROW
            if is_enough:
                what = f"{IN_A_ROW} items in a row met {failure.code}, so no more were tried. The last of them"
                self.set(Failure(failure.code, f"{what}: {failure.message}", failure.http_status))

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most that long; whether it is."""
        return self._event.wait(seconds)

    def require_going(self) -> None:
        """Raise JobCanceled if a user canceled the job."""
        if self.canceled:
            raise JobCanceled(CANCELED.message)

    def __bool__(self) -> bool:
        return self._event.is_set()


_current: ContextVar[Stop | None] = ContextVar("prefect_collect_stop", default=None)


def current_stop() -> Stop:
    """The stop of the attempt that this code works for; one that is never set if it works for none.

    A source that waits in its own code can look at its `canceled` and end the wait.
    """
    stop = _current.get()
    return Stop() if stop is None else stop  # one that is not set is false


@contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Within it, and in the threads of `background` started there, `stop` is the `current_stop`."""
    token = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(token)


def finished(work: Future[Any], stop: Stop) -> bool:
    """Wait for work in the background; False if it has not ended `GRACE` seconds after a cancel."""
    while not stop.canceled:
        if wait([work], timeout=_LOOK).done:
            return True
    return bool(wait([work], timeout=GRACE).done)


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
