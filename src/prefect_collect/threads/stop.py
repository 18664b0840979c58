"""The stop of a running attempt: whether it must stop, and why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from prefect_collect.codes import CANCELED, CODES, Failure
from prefect_collect.errors import JobCanceled

_LOOK: Final = 0.2
"""Seconds between two checks for a cancel."""


GRACE: Final = 3.0
"""Seconds that a source may take to end its call after a cancel; then the call is abandoned (`threads.abandoned`)."""

IN_A_ROW: Final = 20
"""Consecutive items that fail for a reason which holds for all items (`Code.stops_job`), after which a job stops."""


class Stop:
    """The request to stop an attempt: set once, with the first reason; the attempt's threads then stop between items.

    A cancel that comes after another reason still sets `canceled`, and ends calls that the first reason lets finish.
    """

    _in_a_row = 0

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.why: Failure | None = None
        self.canceled = False

    def set(self, why: Failure) -> None:
        """Stop for this reason. A later reason changes nothing, except that a cancel also sets `canceled`."""
        with self._lock:
            if why.code == "canceled":
                self.canceled = True
            if self.why is None:
                self.why = why
                self._event.set()

    def met(self, failure: Failure | None) -> None:
        """Count an item's failure (None: it succeeded), and stop after `IN_A_ROW` that will hit all other items too.

        Only a success resets the count.
        """
        if failure is None:
            self._in_a_row = 0
        elif CODES[failure.code].stops_job:
            with self._lock:
                self._in_a_row += 1
                is_enough = self._in_a_row == IN_A_ROW
            if is_enough:
                what = f"{IN_A_ROW} items in a row failed with {failure.code}, so no more were tried. The last one"
                self.set(Failure(failure.code, f"{what}: {failure.message}", failure.http_status))

    def wait(self, seconds: float) -> bool:
        """Wait until the stop is set, at most `seconds`; return whether it is set."""
        return self._event.wait(seconds)

    def require_going(self) -> None:
        """Raise JobCanceled if a user canceled the job."""
        if self.canceled:
            raise JobCanceled(CANCELED.message)

    def __bool__(self) -> bool:
        return self._event.is_set()


_current: ContextVar[Stop | None] = ContextVar("prefect_collect_stop", default=None)


def current_stop() -> Stop:
    """Return the stop of the attempt that this code works for; outside an attempt, one that is never set.

    A source that waits in its own code can check `canceled` and end the wait.
    """
    stop = _current.get()
    return Stop() if stop is None else stop  # not `or`: a stop that is not set is false


@contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Make `stop` the `current_stop` within this context, and in the background threads started in it."""
    token = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(token)


def finished(work: Future[Any], stop: Stop) -> bool:
    """Wait for background work; return False if it has not ended `GRACE` seconds after a cancel."""
    while not stop.canceled:
        if wait([work], timeout=_LOOK).done:
            return True
    return bool(wait([work], timeout=GRACE).done)
