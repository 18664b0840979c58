"""Threads that can be left behind: a source or a store may hang in a call that cannot be interrupted.

They are daemons, which the process does not wait for at its end, and keep the variables of the context that started
them, unless it is said otherwise; whoever leaves one behind sees to it that it changes nothing any more, as `answering`
does with a `Fence`. At the interpreter's end, when no thread can be started, calls are made at once instead, in the
thread that asks for them. At a limit of threads, what would start one raises RuntimeError.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

_Given = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


def in_background(call: Callable[..., Any], *args: Any, name: str = "background") -> Future[Any]:
    """Call it in a thread of its own; the future ends with what it returns or raises, of any kind."""
    future: Future[Any] = Future()
    context = copy_context()
    if not _is_started(
        threading.Thread(target=lambda: context.run(_settle, future, call, args), name=name, daemon=True)
    ):
        context.run(_settle, future, call, args)
    return future


def _is_started(thread: threading.Thread) -> bool:
    """Start a thread; False as the interpreter ends, when none can be (Python 3.12). Raises RuntimeError at a limit."""
    try:
        thread.start()
    except RuntimeError as error:
        if "interpreter shutdown" not in str(error):
            raise
        return False
    return True


def _settle(future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        future.set_result(call(*args))
    except BaseException as error:
        future.set_exception(error)
        del future, call, args  # the error has this frame, and would keep itself and them


class Pool:
    """Up to `size` threads that take calls in their order, from any thread.

    Leaving its `with` waits for all of them. When the reason is Ctrl-C, or that a generator is closed (as it is when
    Ctrl-C ends whoever reads from it), it waits only if `waits_always`: a call may hang.

    They run in what `context` gives when each is started; a pool that outlives the work that it is started in takes
    `Context`, which has no variables. Without `with` or `close` they end when the pool is garbage.
    """

    def __init__(
        self, size: int, name: str, *, context: Callable[[], Context] = copy_context, waits_always: bool = False
    ) -> None:
        self._size, self._name, self._context = max(1, size), name, context
        self._waits_always = waits_always
        self._waiting: SimpleQueue[_Given | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have it called as soon as a thread is free."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
                work = partial(self._context().run, _work, self._waiting, self._idle)  # which does not hold the pool
                thread = threading.Thread(target=work, name=f"{self._name}_{len(self._threads)}", daemon=True)
                if _is_started(thread):
                    self._threads.append(thread)
            if self._threads:
                self._waiting.put((future, call, args))
                return future
        self._context().run(_settle, future, call, args)
        return future

    def map(self, call: Callable[[S], T], given: Iterable[S]) -> Iterator[T]:
        """What it gives for each, in order; all are submitted at once. After an error those not begun are canceled."""
        return _results(deque(self.submit(call, each) for each in given))

    def close(self, *, wait: bool = True) -> None:
        """Take no more calls; those that were submitted are still made."""
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=self._waits_always or kind is None or issubclass(kind, Exception))

    def __del__(self) -> None:
        self.close(wait=False)


def _work(waiting: SimpleQueue[_Given | None], idle: threading.Semaphore) -> None:
    while (given := waiting.get()) is not None:
        future, call, args = given
        if future.set_running_or_notify_cancel():
            _settle(future, call, args)
        del given, future, call, args  # what was called may hold an item's bytes
        idle.release()


def _results(futures: deque[Future[T]]) -> Iterator[T]:
    try:
        while futures:
            yield futures[0].result()
            futures.popleft()
    finally:
        for future in futures:
            future.cancel()


def as_completed(call: Callable[[T], R], items: Iterable[T], concurrency: int) -> Iterator[tuple[T, R | Exception]]:
    """`call(item)` for every item, at most `concurrency` at once, as they end, each with its result or exception.

    An item is taken from `items` only when a thread is free for it. Closing the iterator waits for what is running.
    """
    waiting = iter(items)
    running: dict[Future[R], T] = {}
    with Pool(concurrency, "read", waits_always=True) as pool:
        while True:
            while len(running) < concurrency:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                running[pool.submit(call, item)] = item
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                error = future.exception()
                if error is None:
                    yield item, future.result()
                elif isinstance(error, Exception):
                    yield item, error
                else:
                    raise error
