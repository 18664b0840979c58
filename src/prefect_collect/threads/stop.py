"""Whether a running attempt is to stop, and why."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from prefect_collect.codes import CANCELED, CODES, Failure
from prefect_collect.errors import JobCanceled

# stamina logs every scheduled retry; without a handler Python would print them on standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_LOOK: Final = 0.2
"""Seconds between looks at whether a job was canceled."""


GRACE: Final = 3.0
"""Seconds that a source has, after a cancel, to end what it is doing; then it is left behind (see `background`)."""

IN_A_ROW: Final = 20
"""Items in a row whose failure all others share (`Code.stops_job`) after which a job stops."""


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
