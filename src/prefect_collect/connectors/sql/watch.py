"""The thread that watches what databases are asked: a cancel, or silence that is too long, ends it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final, Protocol

from prefect_collect.connectors.sql.access import Access
from prefect_collect.threads.stop import Stop

_LOOK: Final = 0.2
"""Seconds between two looks."""


class Watched(Protocol):
    """A session that asks its database something."""

    access: Access
    waiting_since: float | None
    timed_out: bool

    def interrupt(self) -> None:
        """End what the database is asked; never waits."""


_busy: dict[Watched, Stop] = {}
_changed = threading.Condition()
_thread: threading.Thread | None = None


@contextmanager
def watched(session: Watched, stop: Stop) -> Iterator[None]:
    """Watch a session while the database is asked."""
    global _thread
    with _changed:
        _busy[session] = stop
        if _thread is None:
            _thread = threading.Thread(target=_watch, name="sql-watch", daemon=True)
            _thread.start()
        elif len(_busy) == 1:
            _changed.notify()
    try:
        yield
    finally:
        with _changed:
            _busy.pop(session, None)


def _watch() -> None:
    while True:
        with _changed:
            while not _busy:
                _changed.wait()
            busy = [*_busy.items()]
        now = monotonic()
        for session, stop in busy:
            since = session.waiting_since
            is_late = since is not None and now - since > session.access.read_timeout
            if (is_late or stop.canceled) and not session.timed_out:
                session.timed_out = is_late
                with suppress(Exception):
                    session.interrupt()
        threading.Event().wait(_LOOK)


def _forget() -> None:
    """Start again in a fork, which has none of the threads of the process that it came from."""
    global _thread, _changed
    _busy.clear()
    _thread = None
    _changed = threading.Condition()


os.register_at_fork(after_in_child=_forget)
