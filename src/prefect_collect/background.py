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
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, Self, TypeVar

from prefect_collect.control import CANCELED, current_stop, finished, stopped_by
from prefect_collect.errors import JobCanceled

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_Given = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]

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
