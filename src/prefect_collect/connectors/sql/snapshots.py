"""The snapshots in which databases are read, and the sessions that share one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from time import monotonic
from typing import Final

from prefect_collect.connectors.sql.access import KINDS, Access
from prefect_collect.connectors.sql.session import Session
from prefect_collect.connectors.sql.tables import Shape, Table
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

_IDLE: Final = 10.0
"""Seconds after which a snapshot that no attempt of this process holds, and that nothing uses, is closed."""

_LOOK: Final = 0.2

_held: dict[tuple[Access, str], Snapshot] = {}
"""The snapshots that attempts of this process hold, by the version of their items."""

_lent: dict[tuple[Access, str], Snapshot] = {}
"""The snapshots that were begun or joined to read items that no attempt of this process holds one for."""

_lock = threading.RLock()
_process = token_hex(4)
_has_reaper = False


def _start_anew() -> None:
    """Forget what the process was forked from: the process and its fork must not both use a connection."""
    global _process, _lock, _has_reaper
    _held.clear()
    _lent.clear()
    _lock, _process, _has_reaper = threading.RLock(), token_hex(4), False


os.register_at_fork(after_in_child=_start_anew)


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
    """

    def __init__(self, access: Access, version: str = "", *, is_held: bool = False) -> None:
        self.access = access
        self.version = version
        self._name = version.partition(".")[0]
        self._is_held = is_held
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
                    self._name = holder.begin(locks=self._is_held)
                except BaseException:
                    holder.close()
                    raise
                self._holder = holder
                self._sessions.add(holder)
                if not holder.shares:
                    self._idle.append(holder)
                # The name alone may come again after the server was restarted.
                self.version = f"{self._name}.{_process}{token_hex(4)}"
                if self._is_held:
                    with _lock:
                        _held[self.access, self.version] = self
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
        if self._holder is None or not self._is_held:
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

    def forget(self, table: Table) -> None:
        """Forget a table's shape, so that memory does not grow with the tables."""
        with self._changed:
            self._shapes.pop(table.name, None)

    def close(self) -> None:
        """End the snapshot; what is under way is interrupted. Never waits."""
        with self._changed:
            self._is_closed = True
            sessions, self._sessions = self._sessions, set()
            self._idle.clear()
            self._changed.notify_all()
        with _lock:
            _held.pop((self.access, self.version), None)
        for session in sessions:
            with suppress(Exception):
                session.close()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, with its connection or with its attempt."""
        return self._lost is not None or self._is_closed

    def is_old(self) -> bool:
        """Return whether nothing has used the snapshot for a while."""
        with self._changed:
            return not self._in_use and monotonic() - self._used > _IDLE


@contextmanager
def own_snapshot(access: Access) -> Iterator[Snapshot]:
    """Yield a snapshot for one use, which ends with the `with` block."""
    snapshot = Snapshot(access)
    try:
        yield snapshot
    finally:
        snapshot.close()


@contextmanager
def held_snapshot(access: Access) -> Iterator[Snapshot]:
    """Yield a snapshot that is held to the end of the `with` block; the items of its version are read in it."""
    snapshot = Snapshot(access, is_held=True)
    try:
        yield snapshot
    finally:
        snapshot.close()


@contextmanager
def snapshot_for(access: Access, version: str) -> Iterator[tuple[Snapshot, bool]]:
    """Yield the snapshot in which an item with that version is read, and whether it is the one that it was listed in.

    That is the one that an attempt of this process holds, or one that is joined, if the database can share it with
    other processes; else another one, which all items of that version have in common in this process. An item without
    a version gets a snapshot of its own. Raise SourceError if the snapshot is of this process and has ended.
    """
    if version:
        yield _shared(access, version)
        return
    with own_snapshot(access) as own:
        yield own, False


def _shared(access: Access, version: str) -> tuple[Snapshot, bool]:
    """Return a snapshot for all items of a version; one that is not held is closed when it is not used for 10 s."""
    name = access, version
    with _lock:
        if name in _held:
            return _held[name], True
        if version.partition(".")[2].startswith(_process):
            raise access.error(
                "changed_during_read", "The snapshot in which the tables were listed has ended; a retry takes a new one"
            )
        can_join = access.dialect == "postgresql"
        if name in _lent and (can_join or not _lent[name].is_over):
            return _lent[name], can_join
        _lent[name] = Snapshot(access, version if can_join else "")
        _start_reaper()
        return _lent[name], can_join


def _start_reaper() -> None:
    global _has_reaper
    if not _has_reaper:
        _has_reaper = True
        timer = threading.Timer(_IDLE, _reap)
        timer.daemon = True
        timer.start()


def _reap() -> None:
    """Close the lent snapshots that nothing has used for a while."""
    global _has_reaper
    with _lock:
        _has_reaper = False
        old = [name for name, snapshot in _lent.items() if snapshot.is_old()]
        closing = [_lent.pop(name) for name in old]
        if _lent:
            _start_reaper()
    for snapshot in closing:
        snapshot.close()
