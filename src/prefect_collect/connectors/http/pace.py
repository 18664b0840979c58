"""How fast a server is asked: the pauses that it states, and fewer requests at once after "too many requests"."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Final

from prefect_collect.threads.server_pauses import PAUSES, Pause
from prefect_collect.threads.stop import current_stop

LONGEST: Final = 600.0
"""Seconds that a source waits for a server that only says "too many requests"; also the longest pause it may state."""

RETRY_AFTER: Final = b"retry-after"
"""The header by which a server states a pause (RFC 9110)."""

_BUSY: Final = (429, 503)
"""The statuses that ask for less: Too Many Requests, and Service Unavailable, which S3 calls Slow Down."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LOOK: Final = 0.2
_NO_LIMIT: Final = 1 << 30


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header states, as a number or as a date (RFC 9110), or None."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


class Pace:
    """The one budget of a source's requests, for all its threads in a process, and with worker processes for all these.

    After an answer of the statuses 429 or 503, no request begins for the seconds that the server states, or for 1 s,
    twice as long after each such answer, up to 60 s; then half as many requests as before are sent at once, and one
    more after each round without such an answer. Of several processes, each keeps the pauses of all, and its part of
    the requests at once, at least one.

    Args:
        server: Names the server and the account in every process (`Pause.server`); "" for a budget of this process.
    """

    def __init__(self, server: str = "") -> None:
        self._changed = threading.Condition()
        self._server, self._announced = server, 0.0
        self._not_before = self._pause = 0.0
        self._most = _NO_LIMIT
        self._under_way = self._listing = self._passed = 0
        self._since: float | None = None
        if server:
            PAUSES.join(self, server)

    def try_begin(self, *, urgent: bool = False, listing: bool = False) -> bool:
        """Begin a request if it may begin now; return whether it does. Each begun request needs an `end`.

        Args:
            urgent: The request ends the reading of an item, which holds memory that others wait for: it waits for a
                pause, but not for other requests.
            listing: The request is one of a listing, which may keep its place for as long as it waits for the items
                that it has found: so half of the places are left to the requests of items.
        """
        with self._changed:
            if not (urgent or self._has_place(listing=listing)) or monotonic() < self._not_before:
                return False
            self._under_way += 1
            self._listing += listing
            return True

    def _has_place(self, *, listing: bool) -> bool:
        """Return whether one more request may be under way. The lock is held."""
        if self._under_way < self._most:
            return True
        return not listing and self._under_way - self._listing < max(1, self._most // 2)

    def end(self, *, listing: bool = False) -> None:
        """End a request, of a listing if it was begun so."""
        with self._changed:
            self._under_way -= 1
            self._listing -= listing
            self._changed.notify()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait until a request may begin; it ends with the `with` block. Raise JobCanceled."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self, *, urgent: bool = False) -> None:
        """Wait until a request may begin (`try_begin`). Raise JobCanceled."""
        stop = current_stop()
        while not self.try_begin(urgent=urgent):
            stop.require_going()
            self.rest()
        stop.require_going()

    def rest(self) -> None:
        """Wait a moment, at most until a request ends."""
        with self._changed:
            self._changed.wait(_LOOK)

    @property
    def not_before(self) -> float:
        """When requests may begin again, by the monotonic clock."""
        return self._not_before

    def answered(self, status: int, headers: Mapping[bytes, str]) -> bool:
        """Count an answer; return whether it is "too many requests", and the request is to be repeated.

        A server may be down for any time with 503: without a stated pause, that is an error of the request.

        Args:
            status: The answer's status; 0 if there is none.
            headers: Its headers, of which `RETRY_AFTER` is read.
        """
        if status not in _BUSY:
            if status:
                self.passed()
            return False
        stated = retry_after(headers.get(RETRY_AFTER))
        is_worth_it = self.too_many(stated)
        return is_worth_it and (status == 429 or stated is not None)

    def passed(self) -> None:
        """Count an answer that does not refuse the request for too many requests."""
        if self._since is None and self._most == _NO_LIMIT:
            return
        with self._changed:
            self._since, self._pause = None, 0.0
            self._passed += 1
            if self._passed >= self._most * PAUSES.processes:  # each sees its part of a round
                self._most, self._passed = self._most + 1, 0

    def too_many(self, stated: float | None) -> bool:
        """Count an answer of "too many requests"; return whether to ask again after the pause.

        Args:
            stated: The seconds of its Retry-After.
        """
        with self._changed:
            now = monotonic()
            self._since = now if self._since is None else self._since
            self._slow_down(now, min(self._most, self._under_way) // 2)
            pause = self._pause if stated is None else min(stated, LONGEST)
            self._not_before = max(self._not_before, now + pause)
            is_worth_it = (stated is None or stated <= LONGEST) and now - self._since < LONGEST
            is_longer = self._not_before > self._announced + _LOOK
            longer = Pause(self._server, self._not_before, self._most) if is_longer else None
            self._announced = self._not_before if longer else self._announced
        if longer and self._server:
            PAUSES.announce(longer, self)
        return is_worth_it

    def paused(self, pause: Pause) -> None:
        """Keep a pause that another process was asked for, as if this one had been."""
        with self._changed:
            most = min(self._most, self._under_way) // 2 if self._under_way else min(self._most, pause.most)
            self._slow_down(monotonic(), most)
            self._not_before = max(self._not_before, pause.until)

    def _slow_down(self, now: float, most: int) -> None:
        """Send so many requests at once from now on, after a longer pause, if this is the first answer since the last.

        The lock is held.
        """
        if now >= self._not_before:
            self._most, self._passed = max(1, most), 0
            self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause))
