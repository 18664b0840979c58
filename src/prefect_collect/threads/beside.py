"""A function that takes bytes in a thread of its own, so that its caller goes on meanwhile."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from prefect_collect.threads.pool import in_background

Buffer = bytes | bytearray | memoryview

_BEHIND: Final = 4 << 20
"""The most bytes that wait."""

_SPARE: Final = threading.Semaphore(max(1, len(os.sched_getaffinity(0)) // 2))
"""The threads that may take bytes at a time: with more than half of the cores, none is left for their callers."""


class Beside:
    """Calls `take` with the bytes that `put` is given, in their order, in a thread of its own.

    Only `bytes` and views of them wait, up to 4 MiB. The owner of another buffer may fill it again, so `put` returns
    only when `take` has had it; so it does if the process already has as many such threads as its cores can use. An
    exception of `take` is raised by the next call of `put`, or by `finish`.

    Args:
        take: What the bytes are given to, by one thread at a time.
        is_work: Whether taking takes time; if not, `put` itself takes, as a thread would only cost memory.
    """

    def __init__(self, take: Callable[[Buffer], None], *, is_work: bool = True) -> None:
        self._take = take
        self._waiting: deque[Buffer] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._is_ended = False
        self._wrong: BaseException | None = None
        is_begun = is_work and _SPARE.acquire(blocking=False)
        self._thread = in_background(self._run, name="write") if is_begun else None

    def put(self, data: Buffer) -> None:
        """Have `take` called with `data`; wait while too much waits."""
        lasting = data if self._thread is not None and _is_lasting(data) else None
        with self._changed:
            self._changed.wait_for(
                lambda: self._wrong is not None or (self._size < _BEHIND if lasting is not None else not self._size)
            )
            if self._wrong is not None:
                raise self._wrong
            if lasting is not None:
                self._waiting.append(lasting)
                self._size += memoryview(lasting).nbytes
                self._changed.notify_all()
        if lasting is None:
            self._take(data)

    def finish(self) -> None:
        """Wait until `take` has had all bytes."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.result()
        if self._wrong is not None:
            raise self._wrong

    def drop(self) -> None:
        """End the thread without giving it what still waits; do not wait for it."""
        with self._changed:
            self._waiting.clear()
            self._size = 0
            self._is_ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            _SPARE.release()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ended)
                if not self._waiting:
                    return
                data = self._waiting.popleft()
            try:
                self._take(data)
            except BaseException as error:
                with self._changed:
                    self._wrong = error
                    self._waiting.clear()
                    self._changed.notify_all()
                return
            size = memoryview(data).nbytes
            del data
            with self._changed:
                self._size = max(0, self._size - size)
                self._changed.notify_all()


def _is_lasting(data: Buffer) -> bool:
    return isinstance(data.obj if isinstance(data, memoryview) else data, bytes)
