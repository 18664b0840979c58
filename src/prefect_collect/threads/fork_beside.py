"""One call in a fork of this process, whose result is fetched later; see `own_forks` for many of them."""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from prefect_collect.threads.own_forks import has_one_thread
from prefect_collect.threads.parent_death import end_with_parent
from prefect_collect.threads.wide_pipe import widen


class ForkBeside:
    """Has `call` return a plain value that `marshal` takes, in a fork that ends when the `with` block is left.

    There is none where this process has other threads, or where the system allows no more processes or open files.

    Args:
        call: What is called; None for nothing.
    """

    def __init__(self, call: Callable[[], Any] | None) -> None:
        self._pid = self._reads = -1
        if call is None or not has_one_thread():
            return
        with suppress(OSError):
            first_of_all = end_with_parent(signal.SIGKILL)
            self._reads, writes = os.pipe()
            widen(writes)  # so that the fork need not stay, with what it holds, until its result is fetched
            try:
                self._pid = os.fork()
                if not self._pid:
                    _answer(call, writes, first_of_all)
            finally:
                os.close(writes)

    def __enter__(self) -> ForkBeside:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid > 0:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
        if self._reads >= 0:
            os.close(self._reads)
        self._pid = self._reads = -1

    def result(self) -> Any:
        """Wait for the result, and return it; None if there was no fork, it was killed, or `call` failed. Call once."""
        if self._pid < 0:
            return None
        with open(self._reads, "rb", closefd=False) as answer, suppress(EOFError, ValueError, TypeError):
            return marshal.load(answer)
        return None


def _answer(call: Callable[[], Any], writes: int, first_of_all: Callable[[], object]) -> None:
    """Write the result, and end this process; Ctrl-C reaches all processes, of which the first ends the others."""
    try:
        first_of_all()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with open(writes, "wb", closefd=False) as answer, suppress(Exception):
            data = marshal.dumps(call())
            answer.write(data)
    finally:
        os._exit(0)
