"""Ctrl-C while a job runs: the first one cancels it, and those after it do not disturb its orderly end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from prefect_collect.cli._exits import PROGRAM

_SAID: Final = f"{PROGRAM}: Canceling: what is done is kept and accounted for; this takes a moment.\n"


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Within it, and to the end of the process, only the first SIGINT does anything: it raises KeyboardInterrupt.

    Another could break off what ends the job. Whoever cannot wait can send SIGTERM or SIGQUIT (Ctrl-\\). Nothing is
    changed where SIGINT is ignored, as in the background, and outside of the main thread, where no handler can be set.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    own = os.getpid()

    def heed(_number: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getpid() == own:
            os.write(2, _SAID.encode())  # print could meet itself, as this may be in the middle of another one
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heed)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is heed:
            signal.signal(signal.SIGINT, before)
