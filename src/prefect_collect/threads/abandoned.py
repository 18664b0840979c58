"""Calls that are abandoned when a canceled job's source or store hangs in a call that cannot be interrupted.

An abandoned call's thread goes on, but a `Fence` keeps it from changing anything that others see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Final

from prefect_collect.codes import CANCELED
from prefect_collect.errors import JobCanceled
from prefect_collect.threads.pool import P, T, in_background
from prefect_collect.threads.stop import current_stop, finished, stopped_by

SETTLING: Final = 2.0
"""Seconds that a change, which others see and which has begun, gets to end when its work is left behind."""

_RETURNING: Final = 1.0
"""Seconds that work gets to return after its last change."""


class LeftBehind(JobCanceled):
    """Raised in place of work that did not answer a cancel, and is not waited for any longer."""


class Fence:
    """Between work in the background and what others see: what was left behind changes nothing any more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passing = 0
        self._is_shut = False

    def require_open(self) -> None:
        """Raise LeftBehind if the work was left behind."""
        if self._is_shut:
            raise LeftBehind("The job was canceled, and what was left of its work may change nothing any more.")

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Within it a change is made that others see. Raises LeftBehind if the work was left behind."""
        with self._changed:
            self.require_open()
            self._passing += 1
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    def shut(self, seconds: float) -> bool:
        """Let nothing pass any more; waits at most that long for what is passing. Whether that has ended."""
        with self._changed:
            self._is_shut = True
            return self._changed.wait_for(lambda: not self._passing, timeout=seconds)


OPEN: Final = Fence()
"""Of work that is always waited for: it is never shut."""

_fence: ContextVar[Fence] = ContextVar("prefect_collect_fence", default=OPEN)


def current_fence() -> Fence:
    """The fence that what is done here has to pass; `OPEN` where there is none."""
    return _fence.get()


@contextmanager
def fenced_by(fence: Fence) -> Iterator[None]:
    """Within it, and in the threads of this module started there, `fence` is the `current_fence`."""
    token = _fence.set(fence)
    try:
        yield
    finally:
        _fence.reset(token)


def answering(call: Callable[P, T]) -> Callable[P, T]:
    """Have a function run in the background, as long as the `current_stop` is not canceled; then it gets a grace.

    If it has not answered by then it is left behind, with its fence shut, and LeftBehind is raised. An interrupt
    (KeyboardInterrupt) cancels it.
    """

    @wraps(call)
    def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        stop, fence = current_stop(), Fence()
        with stopped_by(stop), fenced_by(fence):
            work: Future[T] = in_background(partial(call, *args, **kwargs), name=call.__name__)
        try:
            try:
                finished(work, stop)
            except BaseException:
                stop.set(CANCELED)
                finished(work, stop)
        finally:
            is_settled = fence.shut(SETTLING)
        if not wait([work], timeout=_RETURNING if is_settled else 0).done:
            raise LeftBehind("The job was canceled, and a store did not answer; what was done there stays as it is.")
        return work.result()

    return answered
