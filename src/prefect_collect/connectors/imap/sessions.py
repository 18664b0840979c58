"""The sessions of an account: a bounded number at once, kept for the next use, and paused when the server is busy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from prefect_collect.connectors.imap.account import Account
from prefect_collect.connectors.imap.refusals import is_of_connections
from prefect_collect.connectors.imap.session import Session
from prefect_collect.errors import SourceError
from prefect_collect.threads.server_pauses import PAUSES, Pause
from prefect_collect.threads.stop import Stop, current_stop

_IDLE: Final = 5.0
"""Seconds that a session without work is kept."""

_REFUSED: Final = 30.0
"""Seconds for which an attempt does not try refused credentials again: servers lock users out who try often."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LOOK: Final = 0.2

_known: dict[Account, Sessions] = {}
_lock = threading.Lock()


def _begin_anew() -> None:
    """Forget what another thread of the process that was forked may be using."""
    global _lock
    _lock = threading.Lock()
    _known.clear()


# The process and its fork must not both use a connection.
os.register_at_fork(after_in_child=_begin_anew)


def sessions_of(account: Account) -> Sessions:
    """Return the sessions of an account, which all its users in this process share."""
    with _lock:
        return _known.setdefault(account, Sessions(account))


def _forget(sessions: Sessions) -> None:
    """Drop the sessions of an account that has none: with every new token there is a new account."""
    with _lock:
        for account, known in [*_known.items()]:
            if known is sessions:
                del _known[account]


class Sessions:
    """The sessions of one account; several threads use it.

    The most at once is the account's `connections`, or fewer if the server refuses more. After the server said that it
    is asked too much, no command is begun for a time that doubles with each such answer, from 1 to 60 seconds, in none
    of a job's processes.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._changed = threading.Condition()
        self._idle: list[tuple[float, Session]] = []
        self._most = account.connections
        self._in_use = 0
        self._pause = 0.0
        self._not_before = 0.0
        self._has_reaper = False
        self._refusal: tuple[Stop, float, SourceError] | None = None
        PAUSES.join(self, account.place)

    @property
    def place(self) -> str:
        """The account's URL, in which messages end."""
        return self._account.place

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session; wait for one if the most are in use, or the server asked for a pause.

        Raise SourceError if the server cannot be reached or refuses the credentials, JobCanceled.
        """
        session = self._take()
        try:
            yield session
        except SourceError as error:
            self._met(error)
            raise
        else:
            self._pause = 0.0
        finally:
            self._give_back(session)

    def _take(self) -> Session:
        stop = current_stop()
        while True:
            with self._changed:
                while self._in_use >= self._most or monotonic() < self._not_before:
                    stop.require_going()
                    self._changed.wait(_LOOK)
                self._require_accepted(stop)
                self._in_use += 1
                session = self._idle.pop()[1] if self._idle else None
            if session is not None and session.is_silent():
                return session
            if session is not None:
                session.close()
            try:
                return Session(self._account)
            except BaseException as error:
                if isinstance(error, SourceError) and error.code == "bad_credentials":
                    self._refusal = stop, monotonic() + _REFUSED, error
                if not self._can_do_with_fewer(error):
                    raise

    def _require_accepted(self, stop: Stop) -> None:
        """Raise the refusal of the credentials, if this attempt has met it a short time ago."""
        if self._refusal is not None and self._refusal[0] is stop and monotonic() < self._refusal[1]:
            error = self._refusal[2]
            raise SourceError(str(error), code=error.code)

    def _can_do_with_fewer(self, error: BaseException) -> bool:
        """Return whether to wait for another session, because the server allows no more than there are."""
        with self._changed:
            self._in_use -= 1
            self._changed.notify()
            fewer = self._in_use
            if isinstance(error, SourceError) and is_of_connections(error) and fewer:
                self._most = min(self._most, fewer)
                return True
        if isinstance(error, SourceError):
            self._met(error)
        return False

    def _met(self, error: SourceError) -> None:
        if error.code == "throttled":
            with self._changed:
                self._lengthen()
                self._not_before = max(self._not_before, monotonic() + self._pause)
                pause = Pause(self.place, self._not_before, self._most)
            PAUSES.announce(pause, self)

    def paused(self, pause: Pause) -> None:
        """Keep a pause that another process was asked for."""
        with self._changed:
            if monotonic() >= self._not_before:
                self._lengthen()
            self._not_before = max(self._not_before, pause.until)

    def _lengthen(self) -> None:
        """Have the next pause last twice as long as the last one; the lock is held."""
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause))

    def _give_back(self, session: Session) -> None:
        with self._changed:
            self._in_use -= 1
            if session.is_usable:
                self._idle.append((monotonic(), session))
                self._start_reaper()
            else:
                session.close()
            self._changed.notify()

    def _start_reaper(self) -> None:
        if not self._has_reaper:
            self._has_reaper = True
            timer = threading.Timer(_IDLE, self._reap)
            timer.daemon = True
            timer.start()

    def _reap(self) -> None:
        """Log out of the sessions that had no work for `_IDLE` seconds."""
        with self._changed:
            self._has_reaper = False
            now = monotonic()
            old = [session for since, session in self._idle if now - since >= _IDLE]
            self._idle = [(since, session) for since, session in self._idle if now - since < _IDLE]
            if self._idle:
                self._start_reaper()
            elif not self._in_use:
                _forget(self)
        for session in old:
            session.log_out()
