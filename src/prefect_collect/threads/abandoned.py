"""Calls that are abandoned if a job is canceled while its source or store hangs and cannot be interrupted.

The thread of an abandoned call keeps running, but a `Fence` keeps it from changing files, objects or custody logs.
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
"""Seconds that a visible change which has already begun may take to end once its call is abandoned."""

_RETURNING: Final = 1.0
"""Seconds that a call may take to return after its last change."""


class CallAbandoned(JobCanceled):
    """Raised instead of the result of a call that was abandoned because it did not react to a cancel."""


class Fence:
    """The check that background work passes before each visible change; once shut, the work can change nothing more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passing = 0
        self._is_shut = False

    def require_open(self) -> None:
        """Raise CallAbandoned if the fence is shut, because the work was abandoned."""
        if self._is_shut:
            raise CallAbandoned("The job was canceled and this call was abandoned, so it may not change anything more.")

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Make a visible change within this context. Raise CallAbandoned if the work was abandoned."""
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
        """Refuse every further change, wait at most `seconds` for changes under way, and return whether they ended."""
        with self._changed:
            self._is_shut = True
            return self._changed.wait_for(lambda: not self._passing, timeout=seconds)


OPEN: Final = Fence()
"""The fence of work that is never abandoned; it is never shut."""

_fence: ContextVar[Fence] = ContextVar("prefect_collect_fence", default=OPEN)


def current_fence() -> Fence:
    """Return the fence that this code must pass before a visible change; `OPEN` if none is set."""
    return _fence.get()


@contextmanager
def fenced_by(fence: Fence) -> Iterator[None]:
    """Make `fence` the `current_fence` within this context, and in the background threads started in it."""
    token = _fence.set(fence)
    try:
        yield
    finally:
        _fence.reset(token)


def abandonable(call: Callable[P, T]) -> Callable[P, T]:
    """Return the function so wrapped that it runs in a background thread and is abandoned if a cancel does not end it.

    After a cancel of the `current_stop` the function has `GRACE` seconds to return. If it does not, its fence is shut
    and CallAbandoned is raised. An interrupt (KeyboardInterrupt) counts as a cancel.
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
            raise CallAbandoned(
                "The job was canceled, but a store did not answer; what was already written there stays."
            )
        return work.result()

    return answered
