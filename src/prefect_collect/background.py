"""Threads that can be left behind: a source may hang in a call that nobody can interrupt.

They are daemons and keep the variables of the context that started them; whoever leaves one behind sees to it that it
changes nothing any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Self


def in_background(call: Callable[..., Any], *args: Any, name: str = "background") -> Future[Any]:
    """Call it in a thread of its own; the future ends with what it returns or raises, of any kind."""
    future: Future[Any] = Future()
    context = copy_context()
    threading.Thread(target=lambda: context.run(_settle, future, call, args), name=name, daemon=True).start()
    return future


def _settle(future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        future.set_result(call(*args))
    except BaseException as error:
        future.set_exception(error)


class Pool:
    """Up to `size` threads that take calls in their order. Leaving its `with` waits for all of them."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = max(1, size), name
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have it called as soon as a thread is free."""
        future: Future[Any] = Future()
        self._waiting.put((future, call, args))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
            context = copy_context()
            name = f"{self._name}_{len(self._threads)}"
            thread = threading.Thread(target=lambda: context.run(self._work), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def close(self, *, wait: bool = True) -> None:
        """Take no more calls; those that were submitted are still made."""
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (given := self._waiting.get()) is not None:
            future, call, args = given
            if future.set_running_or_notify_cancel():
                _settle(future, call, args)
            del given, future, call, args  # what was called may hold an item's bytes
            self._idle.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
