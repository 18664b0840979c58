"""What the shards of one attempt share: whether to stop, and their progress.

Threads of the attempt's own process share the objects themselves, found by the job's id and the attempt's number.
Shards in other processes share the mark `store_keys.stop_key`: the attempt's process writes it when it stops, and one
thread in each other process looks for it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Final

from prefect_collect.codes import CANCELED, Failure
from prefect_collect.errors import CollectError, CorruptPart, KeyExists
from prefect_collect.job_folder import json_fields, store_keys
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop
from prefect_collect.untrusted.bounded_json import read_json

LOOK_EVERY: Final = 2.0
"""Seconds between two looks for the mark: how long a shard in another process may run on after the job has stopped."""

_NOTICE_WITHIN: Final = 0.2


@dataclass(frozen=True)
class StopSignals:
    """One attempt's stop and progress."""

    stop: Stop = field(default_factory=Stop)
    progress: Progress = field(default_factory=Progress)


_running: dict[tuple[str, int], StopSignals] = {}


@contextmanager
def send_signals(job_id: str, attempt: int, stop: Stop | None = None) -> Iterator[StopSignals]:
    """Share a stop (`stop`, or a new one) and a progress with the attempt's shards in this process."""
    shared = _running[job_id, attempt] = StopSignals() if stop is None else StopSignals(stop)
    try:
        yield shared
    finally:
        _running.pop((job_id, attempt), None)


def signals_of(job_id: str, attempt: int) -> StopSignals:
    """Return what the attempt shares if it runs in this process; else new, unshared signals."""
    return _running.get((job_id, attempt)) or StopSignals()


@contextmanager
def mark_stop(folder: JobFolder, attempt: int, stop: Stop) -> Iterator[None]:
    """In the process that runs the attempt: when `stop` is set, write the mark for shards in other processes."""
    marked: set[str] = set()

    def mark(key: str, why: Failure) -> None:
        if key not in marked:
            with suppress(KeyExists):
                folder.store.create(key, json.dumps(asdict(why)).encode())
            marked.add(key)

    def look() -> bool:
        with suppress(CollectError):  # a store that does not answer is tried again
            if (why := stop.why) is not None:
                mark(store_keys.stop_key(folder.job_id, attempt), why)
                if stop.canceled and why.code != CANCELED.code:
                    mark(store_keys.cancel_key(folder.job_id, attempt), CANCELED)
                return stop.canceled
        return False

    ended = threading.Event()
    thread = threading.Thread(target=_every, args=(_NOTICE_WITHIN, look, ended), daemon=True, name="stop")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass
class _Followed:
    """An attempt of another process, whose shards run in this process."""

    stop: Stop = field(default_factory=Stop)
    shards: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


_followed: dict[tuple[str, str, int], _Followed] = {}
_lock = threading.Lock()


@contextmanager
def follow_stop(folder: JobFolder, attempt: int) -> Iterator[Stop]:
    """For a shard of an attempt that another process runs: yield a stop that is set when the attempt stops.

    All shards of the attempt in this process share that stop, and the one thread that looks for the mark.
    """
    key = folder.store.url, folder.job_id, attempt
    with _lock:
        followed = _followed.setdefault(key, _Followed())
        followed.shards += 1
        is_first = followed.shards == 1

    def look() -> bool:
        with suppress(CollectError):  # no mark, or the store does not answer: then the shard itself fails
            if not followed.stop:
                followed.stop.set(_marked(folder, store_keys.stop_key(folder.job_id, attempt)))
            if not followed.stop.canceled:
                followed.stop.set(_marked(folder, store_keys.cancel_key(folder.job_id, attempt)))
        return followed.stop.canceled

    if not look() and is_first:
        threading.Thread(target=_every, args=(LOOK_EVERY, look, followed.ended), daemon=True, name="stop").start()
    try:
        yield followed.stop
    finally:
        with _lock:
            followed.shards -= 1
            if not followed.shards:
                followed.ended.set()
                _followed.pop(key, None)


def _marked(folder: JobFolder, key: str) -> Failure:
    """Return why the attempt stops. Raise KeyMissing if there is no such mark."""
    try:
        return Failure(**read_json(folder.store, key, json_fields.STOP_MARK))
    except CorruptPart:
        return CANCELED


def _every(seconds: float, look: Callable[[], bool], ended: threading.Event) -> None:
    while not ended.wait(seconds):
        if look():
            return
