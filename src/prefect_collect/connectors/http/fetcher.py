"""Many small HTTP GETs at once on one thread, without retries and redirects."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import pycurl

from prefect_collect.connectors.http.engine import Answer, Limits, Loop, new_handle
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE
from prefect_collect.threads.stop import current_stop
from prefect_collect.threads.window import MOST_BYTES, Window

T = TypeVar("T")

_BUFFER: Final = 64 << 10
_LOOK: Final = 0.05


class Fetcher:
    """Many GETs at once, on connections that are kept between calls of `fetch`; used by one thread at a time.

    Args:
        limits: The limits of each.
        most: Bytes of an answer above which it is an error; 0 for no bound, where answers have no body.
    """

    def __init__(self, limits: Limits, most: int = MOST_AT_ONCE) -> None:
        self._limits, self._most = limits, most
        self._loop = Loop()
        self._idle: list[pycurl.Curl] = []
        self._window = Window(0)

    def fetch(
        self,
        waiting: Iterable[T],
        concurrency: int,
        *,
        prepare: Callable[[T], tuple[str, list[str]]],
        size: Callable[[T], int],
        pace: Pace | None = None,
        listing: bool = False,
    ) -> Iterator[tuple[T, Answer | SourceError]]:
        """Yield the answers as they arrive, with at most `concurrency` requests and about 64 MiB at once.

        There are `FIRST` requests at once to begin with, and more as long as that is faster.

        After a cancel of the job, answers that have not arrived are abandoned.

        Args:
            waiting: The requests' tags; the next is taken only when it can be sent.
            concurrency: The most requests at once.
            prepare: Returns the URL and the header lines of a tag; a SourceError that it raises is the answer.
            size: Returns the bytes to expect for a tag.
            pace: Says when a request may begin.
            listing: Whether the requests are a listing's (`Pace.try_begin`).
        """
        stop = current_stop()
        window = self._window_of(concurrency)
        self._loop.keep(concurrency)
        source = iter(waiting)
        active: dict[pycurl.Curl, tuple[T, Answer]] = {}
        done: deque[tuple[T, Answer | SourceError]] = deque()
        taken: list[T] = []
        expected = 0
        exhausted = False
        try:
            while True:
                while not exhausted and len(active) + len(done) < window.size:
                    if not taken:
                        try:
                            taken.append(next(source))
                        except StopIteration:
                            exhausted = True
                            break
                    bytes_more = size(taken[0])
                    if active and expected + bytes_more > MOST_BYTES:
                        break
                    if pace is not None and not pace.try_begin(listing=listing):
                        break
                    tag = taken.pop()
                    expected += bytes_more
                    answer = Answer()
                    try:
                        active[self._start(*prepare(tag), answer)] = tag, answer
                    except BaseException as error:
                        if pace is not None:
                            pace.end(listing=listing)
                        if not isinstance(error, SourceError):
                            raise
                        done.append((tag, error))
                self._loop.kick()
                if done:
                    while done:
                        expected -= size(done[0][0])
                        yield done.popleft()
                    if not stop.canceled:
                        continue  # the next requests are sent before the network is waited for
                if not active:
                    if exhausted or stop.canceled:
                        return
                    if taken:  # the pace holds it back
                        time.sleep(_LOOK)
                    continue
                if stop.canceled:
                    return
                for handle, failure in self._loop.step(0.5):
                    tag, answer = active.pop(handle)
                    answer.error = failure
                    self._loop.remove(handle)
                    self._idle.append(handle)
                    window.answered()
                    if pace is not None:
                        pace.end(listing=listing)
                    done.append((tag, answer))
        finally:
            for handle in active:
                self._loop.remove(handle)
                if pace is not None:
                    pace.end(listing=listing)

    def close(self) -> None:
        """Close the kept connections."""
        self._loop.close()

    def _window_of(self, most: int) -> Window:
        """Return the window of the calls of `fetch` with that many at once; what one found serves the next."""
        if self._window.most != most:
            self._window = Window(most)
        self._window.begin()
        return self._window

    def _new(self) -> pycurl.Curl:
        handle = new_handle(self._limits, _BUFFER)
        handle.setopt(pycurl.MAXFILESIZE, self._most)
        return handle

    def _start(self, url: str, lines: list[str], answer: Answer) -> pycurl.Curl:
        handle = self._idle.pop() if self._idle else self._new()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, lines)
        handle.setopt(pycurl.HEADERFUNCTION, answer.lines.append)
        handle.setopt(pycurl.WRITEFUNCTION, answer.body.append)
        self._loop.add(handle)
        return handle


class Fetchers:
    """The fetchers of one source, which are kept with their connections; each is used by one thread at a time.

    Args:
        make: Returns a new fetcher, where all that there are are in use.
    """

    def __init__(self, make: Callable[[], Fetcher]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: list[Fetcher] = []

    @contextmanager
    def one(self) -> Iterator[Fetcher]:
        """Give a fetcher to this thread."""
        with self._lock:
            fetcher = self._idle.pop() if self._idle else None
        fetcher = self._make() if fetcher is None else fetcher
        try:
            yield fetcher
        finally:
            with self._lock:
                self._idle.append(fetcher)
