"""The connections of one source: few of them, shared by its threads, and closed when they are not used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from prefect_collect.connectors.sftp._session import Session
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import Stop, current_stop

_IDLE: Final = 20.0
"""Seconds after which connections that are not used are closed."""

_REFUSED: Final = 30.0
"""Seconds for which an attempt does not try refused credentials again: servers lock users out who try often."""

_PAUSES: Final = (0.1, 2.0)
"""Seconds for which a server that cannot be reached is not tried again: they double from time to time."""


class Pool:
    """Up to `most` connections, which `connect` makes; used from several threads.

    If the server refuses another one while there are some, they are shared from then on.
    """

    def __init__(self, connect: Callable[[], Session], most: int) -> None:
        self._connect, self._most = connect, most
        self._lock, self._connecting = threading.Lock(), threading.Lock()
        self._sessions: list[Session] = []
        self._error: SourceError | None = None
        self._stop: Stop | None = None
        self._not_before, self._pause = 0.0, _PAUSES[0]
        self._timer: threading.Timer | None = None

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Use a connection for the time of a `with` block. Raise SourceError if none can be had."""
        session = self._existing(shared=False) or self._new()
        try:
            yield session
        finally:
            self._give_back(session)

    def _existing(self, *, shared: bool) -> Session | None:
        """Return a connection that is not used, or one that is if no more may be made; None if there is none."""
        with self._lock:
            self._sessions = [session for session in self._sessions if session.is_alive]
            least = min(self._sessions, key=lambda session: session.users, default=None)
            if least is None or (least.users and not shared and len(self._sessions) < self._most):
                return None
            least.users += 1
            return least

    def _new(self) -> Session:
        with self._connecting:
            if (existing := self._existing(shared=False)) is not None:
                return existing
            try:
                session = self._connected()
            except SourceError:
                if (existing := self._existing(shared=True)) is None:
                    raise
                with self._lock:
                    self._most = max(1, len(self._sessions))
                return existing
            session.users = 1
            with self._lock:
                self._sessions.append(session)
            return session

    def _connected(self) -> Session:
        """Connect; raise the last error of the same attempt again for a while. One thread at a time."""
        stop = current_stop()
        if self._error is not None and monotonic() < self._not_before and stop is self._stop:
            raise type(self._error)(str(self._error), code=self._error.code)
        try:
            session = self._connect()
        except SourceError as error:
            is_refused = error.code == "bad_credentials"
            self._error, self._stop = error, stop
            self._not_before = monotonic() + (_REFUSED if is_refused else self._pause)
            self._pause = min(2 * self._pause, _PAUSES[1])
            raise
        self._error, self._pause = None, _PAUSES[0]
        return session

    def _give_back(self, session: Session) -> None:
        with self._lock:
            session.users -= 1
            if any(one.users for one in self._sessions):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(_IDLE, self._close_idle)
            self._timer.daemon = True
            self._timer.start()

    def _close_idle(self) -> None:
        with self._lock:
            if any(one.users for one in self._sessions):
                return
            idle, self._sessions = self._sessions, []
        for session in idle:
            session.close()

    def close(self) -> None:
        """Close every connection, also those that are used."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()
