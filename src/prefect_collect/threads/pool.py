"""Background threads that can be abandoned, as a source or a store may hang in a call that cannot be interrupted.

They are daemon threads, so the process does not wait for them when it exits, and unless stated otherwise they inherit
the context variables of the code that started them. Code that abandons a thread must make sure that it changes nothing
more, as `abandonable` does with a `Fence`. When no thread can be started because the interpreter is shutting down,
calls run at once in the calling thread. If the system's limit of threads is reached, RuntimeError is raised.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import Context, copy_context
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, Self, TypeVar

from prefect_collect.threads.turns import while_waiting
from prefect_collect.threads.window import MOST_BYTES, Window

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

SMALL: Final = 32 << 10
"""Bytes of a file in memory below which one thread hashes files in less time than two.

Each hash gives the interpreter's lock away and must wait for it again: with files of 10 KiB, two threads on two cores
take a third more time than one, and twice its CPU.
"""

_Submitted = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


def in_background(call: Callable[..., Any], *args: Any, name: str = "background") -> Future[Any]:
    """Run `call` in a thread of its own; the future holds its result, or any exception (also a BaseException)."""
    future: Future[Any] = Future()
    context = copy_context()
    if not _is_started(
        threading.Thread(target=lambda: context.run(_settle, future, call, args), name=name, daemon=True)
    ):
        context.run(_settle, future, call, args)
    return future


def _is_started(thread: threading.Thread) -> bool:
    """Start a thread; return False if the interpreter is shutting down (Python 3.12 then refuses to start one).

    Raise RuntimeError if the system's limit of threads is reached.
    """
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
        del future, call, args  # the error refers to this frame, which would keep them, and the error itself, alive


def in_this_thread(call: Callable[..., R], *args: Any) -> Future[R]:
    """Run `call` now, and return its future, as `Pool.submit` does."""
    future: Future[R] = Future()
    _settle(future, call, args)
    return future


class Pool:
    """Up to `size` threads that run submitted calls in order; calls may be submitted from any thread.

    Leaving the pool's `with` block waits for all calls. If the block is left because of Ctrl-C or of a generator that
    is closed (which happens when Ctrl-C ends its reader), it waits only if `waits_always` is set, as a call may hang.

    Each thread runs in the context that `context` returns when the thread starts. A pool that outlives the work that
    creates it is given `Context`, an empty one. Without `with` or `close` the threads end when the pool is garbage.
    """

    def __init__(
        self, size: int, name: str, *, context: Callable[[], Context] = copy_context, waits_always: bool = False
    ) -> None:
        self._size, self._name, self._context = max(1, size), name, context
        self._waits_always = waits_always
        self._waiting: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `call` as soon as a thread is free; return its future."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
                work = partial(self._context().run, _work, self._waiting, self._idle)  # holds no reference to the pool
                thread = threading.Thread(target=work, name=f"{self._name}_{len(self._threads)}", daemon=True)
                if _is_started(thread):
                    self._threads.append(thread)
            if self._threads:
                self._waiting.put((future, call, args))
                return future
        self._context().run(_settle, future, call, args)
        return future

    def map(self, call: Callable[[S], T], given: Iterable[S]) -> Iterator[T]:
        """Yield `call(each)` for each of `given`, in order.

        All calls are submitted at once; if one raises, those that have not begun are canceled.
        """
        return _results(deque(self.submit(call, each) for each in given))

    def close(self, *, wait: bool = True) -> None:
        """Accept no more calls; those already submitted still run, and are waited for if `wait`."""
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


def _work(waiting: SimpleQueue[_Submitted | None], idle: threading.Semaphore) -> None:
    while (submitted := waiting.get()) is not None:
        future, call, args = submitted
        if future.set_running_or_notify_cancel():
            _settle(future, call, args)
        del submitted, future, call, args  # the call may hold an item's bytes
        idle.release()


def _results(futures: deque[Future[T]]) -> Iterator[T]:
    try:
        while futures:
            yield futures[0].result()
            futures.popleft()
    finally:
        for future in futures:
            future.cancel()


def as_completed(
    call: Callable[[T], R], items: Iterable[T], concurrency: int, size: Callable[[T], int]
) -> Iterator[tuple[T, R | Exception]]:
    """Yield each item with the result or exception of `call(item)`, in the order in which the calls end.

    At most `concurrency` calls run at once, `FIRST` of them to begin with and more as long as that is faster, and an
    item is taken from `items` only when a thread is free for it. All together have at most some 64 MiB by `size`, the
    bytes that a call reads. Closing the iterator waits for the running calls.
    """
    waiting = iter(items)
    taken: list[T] = []
    running: dict[Future[R], T] = {}
    expected = 0
    window = Window(concurrency)
    with Pool(concurrency, "read", waits_always=True) as pool:
        while True:
            while len(running) < window.size:
                taken += islice(waiting, 1 - len(taken))
                if not taken or (running and expected + size(taken[0]) > MOST_BYTES):
                    break
                item = taken.pop()
                expected += size(item)
                running[pool.submit(call, item)] = item
            if not running:
                return
            with while_waiting():
                done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                expected -= size(item)
                window.answered()
                error = future.exception()
                if error is None:
                    yield item, future.result()
                elif isinstance(error, Exception):
                    yield item, error
                else:
                    raise error


def in_order(call: Callable[[S], T], given: Iterable[S], ahead: int) -> Iterator[T]:
    """Yield `call(each)` for each of `given`, in order; up to `ahead` calls run, or wait for the reader, at once.

    If a call raises, its exception is raised in its place. Closing the iterator waits for no call.
    """
    with Pool(ahead, "ahead") as pool:
        begun: deque[Future[T]] = deque()
        for each in given:
            begun.append(pool.submit(call, each))
            if len(begun) == ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
