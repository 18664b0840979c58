"""How often browsers may look again, so that all of them together cost the jobs little, however many there are."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from prefect_collect.console.job_index import LOOK_EVERY

POLL_HEADER: Final = "X-Poll"
"""A request with this header is one that the page makes by itself, again and again."""

PAUSE_HEADER: Final = "X-Poll-After"
"""The answer's seconds after which the page may ask for the same again."""

MOST_POLLS: Final = 6.0
"""Requests a second that all pages together make by themselves. Each costs a few milliseconds of a processor."""

_WINDOW: Final = 10.0


class Pace:
    """Spreads the requests that pages make by themselves; used from several threads."""

    def __init__(self, *, most: float = MOST_POLLS, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._polls: deque[tuple[float, float]] = deque()
        self._pause = LOOK_EVERY

    def pause(self) -> float:
        """Count a request, and return the seconds after which its page may ask again, at least `LOOK_EVERY`.

        A page that has to wait for n seconds asks once in n seconds. So the pauses of the requests of the last
        seconds, added up and divided by those seconds, are the number of pages that ask.
        """
        now = self._clock()
        with self._lock:
            self._polls.append((now, self._pause))
            while self._polls[0][0] <= now - _WINDOW:
                self._polls.popleft()
            pages = sum(pause for _, pause in self._polls) / _WINDOW
            self._pause = max(LOOK_EVERY, pages / self._most)
            return self._pause
