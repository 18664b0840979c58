"""Ctrl-C while a job runs: the first one cancels the job, later ones are ignored while it ends in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._exits import PROGRAM
from prefect_collect.errors import JobInterrupted
from prefect_collect.statuses import should_poll

if TYPE_CHECKING:
    from prefect_collect.jobs import Job

_CANCELING: Final = f"{PROGRAM}: Canceling: what is done is kept and accounted for; this takes a moment.\n"


class _Effect(Enum):
    CANCEL = auto()
    IGNORE = auto()
    INTERRUPT = auto()


class _Handler:
    """The handler of SIGINT while a job runs, with the effect that the next one has."""

    def __init__(self) -> None:
        self.effect = _Effect.CANCEL
        self._own = os.getpid()

    def __call__(self, _number: int, _frame: Any) -> None:
        if self.effect is _Effect.IGNORE:
            return
        if self.effect is _Effect.CANCEL and os.getpid() == self._own:
            os.write(2, _CANCELING.encode())  # not print, which this handler may have interrupted
        self.effect = _Effect.IGNORE
        raise KeyboardInterrupt


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT only, and ignore the later ones to the end of the process.

    Another interrupt could break off the end of the job. A user who cannot wait can send SIGTERM or SIGQUIT (Ctrl-\\).
    Nothing is changed if SIGINT is ignored, as in the background, or outside the main thread, where no handler can be
    set.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    handler = _Handler()
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if handler.effect is _Effect.CANCEL and signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, before)


def ended_job(run: Callable[[], str], read: Callable[[str], Job]) -> Job:
    """Return the job that `run` runs, and names, also if Ctrl-C came too late to cancel it; `read` reads it by its id.

    From the end of the job on, Ctrl-C is ignored. Raise JobInterrupted if the job has not ended, or its end could not
    be reported to Prefect's server.
    """
    handler = signal.getsignal(signal.SIGINT)
    interrupt: JobInterrupted | None = None
    try:
        job_id = run()
    except JobInterrupted as error:
        if str(error) or not error.job_id or not isinstance(handler, _Handler):
            raise
        job_id, interrupt = error.job_id, error
    if isinstance(handler, _Handler):
        handler.effect = _Effect.IGNORE
    job = read(job_id)
    if interrupt is not None and should_poll(job.task_status):
        raise interrupt
    return job


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at a SIGINT in this context, also where `ended_job` has it ignored."""
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, _Handler):
        yield
        return
    before, handler.effect = handler.effect, _Effect.INTERRUPT
    try:
        yield
    finally:
        handler.effect = before
