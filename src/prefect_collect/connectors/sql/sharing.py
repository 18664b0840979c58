"""Which snapshot an item is read in: the one of its attempt, one that another process shares, or another one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.connectors.sql.snapshots import Snapshot, process_mark

_IDLE: Final = 10.0
"""Seconds after which a snapshot that no attempt of this process holds, and that nothing uses, is closed."""

_held: dict[tuple[Access, str], Snapshot] = {}
"""The snapshots that attempts of this process hold, by the version of their items."""

_lent: dict[tuple[Access, str], Snapshot] = {}
"""The snapshots that were begun or joined to read items that no attempt of this process holds one for."""

_lock = threading.RLock()
_has_reaper = False


def _start_anew() -> None:
    """Drop the snapshots in a fork: it must not use the connections of the process that it came from."""
    global _lock, _has_reaper
    _held.clear()
    _lent.clear()
    _lock, _has_reaper = threading.RLock(), False


os.register_at_fork(after_in_child=_start_anew)


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
    snapshot = Snapshot(access, hold=_hold)
    try:
        yield snapshot
    finally:
        with _lock:
            _held.pop((access, snapshot.version), None)
        snapshot.close()


def _hold(snapshot: Snapshot) -> None:
    with _lock:
        _held[snapshot.access, snapshot.version] = snapshot


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
        if version.partition(".")[2].startswith(process_mark()):
            raise access.snapshot_ended()
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
        old = [name for name, snapshot in _lent.items() if snapshot.is_unused_for(_IDLE)]
        closing = [_lent.pop(name) for name in old]
        if _lent:
            _start_reaper()
    for snapshot in closing:
        snapshot.close()
