"""The snapshots in which databases are read, and the sessions that share one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from time import monotonic
from typing import Final

from prefect_collect.connectors.sql.access import KINDS, Access
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.tables import Shape, Table
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

_LOOK: Final = 0.2

_process = token_hex(4)


def process_mark() -> str:
    """Return what marks the versions of the snapshots that this process began."""
    return _process


def _mark_anew() -> None:
    global _process
    _process = token_hex(4)


os.register_at_fork(after_in_child=_mark_anew)


def session_of(access: Access) -> Session:
    """Return a new session of a database. Raise SourceError, UsageError."""
    if access.dialect == "postgresql":
        from prefect_collect.connectors.sql.postgres import PostgresSession

        return PostgresSession(access)
    if access.dialect == "sqlite":
        from prefect_collect.connectors.sql.sqlite import SqliteSession

        return SqliteSession(access)
    from prefect_collect.connectors.sql.mariadb import MariadbSession

    return MariadbSession(access)


class Snapshot:
    """One view of a database, which its sessions share; several threads use it. It begins with its first use.

    A snapshot that sessions can join (PostgreSQL's) is held by a session that does nothing else; up to
    `Access.connections` others read in it. Of other databases one session is the snapshot, and threads take turns.

    Args:
        access: The database.
        version: Of a snapshot of another process that is joined: the version of its items.
        hold: Called when the snapshot has begun, if an attempt holds it; its tables then keep their structure.
    """

    def __init__(self, access: Access, version: str = "", *, hold: Callable[[Snapshot], None] | None = None) -> None:
        self.access = access
        self.version = version
        self._name = version.partition(".")[0]
        self._hold = hold
        self._holder: Session | None = None
        self._changed = threading.Condition()
        self._idle: list[Session] = []
        self._sessions: set[Session] = set()
        self._in_use = 0
        self._holding = threading.Lock()
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._tables: list[Table] | None = None
        self._lost: SourceError | None = None
        self._is_closed = False
        self._used = monotonic()

    @property
    def title(self) -> str:
        """The snapshot's name for users."""
        return f"{KINDS[self.access.dialect]} {self._name}"

    def require_begun(self) -> str:
        """Begin the snapshot if it has not begun; return the version that its items are listed with."""
        with self._changed:
            if self._is_closed:
                raise self.access.error("changed_during_read", "The snapshot has ended with its attempt")
            if not self.version:
                holder = session_of(self.access)
                try:
                    self._name = holder.begin(locks=self._hold is not None)
                except BaseException:
                    holder.close()
                    raise
                self._holder = holder
                self._sessions.add(holder)
                if not holder.shares:
                    self._idle.append(holder)
                # The name alone may come again after the server was restarted.
                self.version = f"{self._name}.{_process}{token_hex(4)}"
                if self._hold is not None:
                    self._hold(self)
            return self.version

    @contextmanager
    def session(self, table: Table | None = None) -> Iterator[Session]:
        """Yield a session in the snapshot; wait for one if the most are in use.

        With a table, it is one that can read it: the snapshot's holder, if another user of the database waits for a
        lock of the table, and with it all that ask for one later. Raise SourceError if the snapshot is lost with its
        connection, JobCanceled.
        """
        self.require_begun()
        session = self._take()
        try:
            can_read = table is None or session is self._holder or session.can_read(table)
            if can_read:
                yield session
        finally:
            self._give_back(session)
        if not can_read and table is not None:
            with self._of_holder(table) as holder:
                yield holder

    @contextmanager
    def _of_holder(self, table: Table) -> Iterator[Session]:
        if self._holder is None or self._hold is None:
            what = "Another user of the database waits to change the table, and keeps it locked until then"
            raise self.access.error("timeout", what, table.title)
        stop = current_stop()
        while not self._holding.acquire(timeout=_LOOK):
            stop.require_going()
        try:
            yield self._holder
        finally:
            self._holding.release()

    def _take(self) -> Session:
        stop = current_stop()
        with self._changed:
            while True:
                stop.require_going()
                if self._lost is not None:
                    raise SourceError(str(self._lost), code=self._lost.code)
                if self._idle:
                    self._in_use += 1
                    return self._idle.pop()
                if self._can_add():
                    self._in_use += 1
                    break
                self._changed.wait(_LOOK)
        try:
            return self._joined()
        except BaseException:
            with self._changed:
                self._in_use -= 1
                self._changed.notify()
            raise

    def _can_add(self) -> bool:
        shares = self._holder is None or self._holder.shares
        return shares and self._in_use < self.access.connections

    def _joined(self) -> Session:
        session = session_of(self.access)
        try:
            session.join(self._name)
        except BaseException as error:
            session.close()
            if isinstance(error, SourceError) and error.code == "changed_during_read":
                self._lost = error
            raise
        with self._changed:
            self._sessions.add(session)
        return session

    def _give_back(self, session: Session) -> None:
        with self._changed:
            self._in_use -= 1
            self._used = monotonic()
            if session.is_usable and not self._is_closed:
                self._idle.append(session)
            else:
                self._sessions.discard(session)
                session.close()
                if session is self._holder and not self._is_closed:
                    self._lost = self.access.error(
                        "connection_lost", "The snapshot in which the tables were listed ended with its connection"
                    )
            self._changed.notify()

    def tables(self, session: Session) -> list[Table]:
        """Return the tables to read."""
        if self._tables is None:
            self._tables = session.tables()
        return self._tables

    def table(self, session: Session, name: tuple[str, ...]) -> Table | None:
        """Return a table by its name; None if there is none."""
        return next((table for table in self.tables(session) if table.name == name), None)

    def shape(self, session: Session, table: Table) -> Shape:
        """Return what must be known of a table, which is asked once in a snapshot."""
        with self._changed:
            known = self._shapes.get(table.name)
        if known is None:
            known = session.shape(table)
            with self._changed:
                self._shapes[table.name] = known
        return known

    def close(self) -> None:
        """End the snapshot; what is under way is interrupted. Never waits."""
        with self._changed:
            self._is_closed = True
            sessions, self._sessions = self._sessions, set()
            self._idle.clear()
            self._changed.notify_all()
        for session in sessions:
            with suppress(Exception):
                session.close()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, with its connection or with its attempt."""
        return self._lost is not None or self._is_closed

    def is_unused_for(self, seconds: float) -> bool:
        """Return whether nothing has used the snapshot for that long."""
        with self._changed:
            return not self._in_use and monotonic() - self._used > seconds
