"""Ctrl-C while a job runs: the first one cancels the job, later ones are ignored while it ends in order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from prefect_collect.cli._exits import PROGRAM

_CANCELING: Final = f"{PROGRAM}: Canceling: what is done is kept and accounted for; this takes a moment.\n"


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
    own = os.getpid()

    def heed(_number: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getpid() == own:
            os.write(2, _CANCELING.encode())  # not print, which this handler may have interrupted
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heed)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is heed:
            signal.signal(signal.SIGINT, before)
