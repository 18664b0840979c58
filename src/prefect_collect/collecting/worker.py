"""A worker process: collects the shards that the attempt's process hands it, one at a time. Does not use Prefect.

The two share a socket. The worker's main thread reads from it, so that it learns at once that the attempt's process has
died, however it died: then the worker ends in that moment, and writes nothing more.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.collecting.policy import ShardPolicy
from prefect_collect.collecting.shard import collect_shard
from prefect_collect.collecting.staging import READ_AHEAD
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import Counts
from prefect_collect.sources import Source
from prefect_collect.threads.byte_budget import RANGES, UPLOADS
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.server_pauses import PAUSES, Pause
from prefect_collect.threads.stop import Stop

_REPORT_EVERY: Final = 0.25
"""Seconds between two messages of a shard's progress."""


@dataclass(frozen=True)
class ShardWork:
    """What a worker needs for the shards of an attempt.

    Attributes:
        source: The data source, with the worker's share of its connections.
        folder: The job's folder.
        attempt: The attempt.
        policy: How each shard is collected.
        workers: How many workers there are: each may hold its part of the memory that one process may.
    """

    source: Source
    folder: JobFolder
    attempt: int
    policy: ShardPolicy
    workers: int


@dataclass(frozen=True)
class Start:
    """The first message to a worker.

    Attributes:
        environment: The environment variables to work with.
        prepare: Called before the work is unpickled.
        work: A pickled `ShardWork`.
    """

    environment: dict[str, str]
    prepare: Callable[[], object] | None
    work: bytes


@dataclass(frozen=True)
class Collect:
    """The message that hands out a shard: its number, and the name of its run (`ShardPolicy.run`)."""

    part: int
    run: str


@dataclass(frozen=True)
class Ended:
    """The answer when a shard has ended: its counts, or the error that it raised."""

    counts: Counts | None
    error: BaseException | None


def serve(connection: Connection) -> None:
    """Collect shards until the attempt's process says that there are no more, or dies."""
    # A service that is stopped sends it to all processes; programs that a source starts must not inherit the block.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        start = connection.recv()
        try:
            worker = _Worker(connection, start)
        except Exception as error:  # such as a module of the source that cannot be imported here
            while (message := connection.recv()) is not None:
                if isinstance(message, Collect):
                    connection.send(Ended(None, _sendable(error)))
            return
        while (message := connection.recv()) is not None:
            worker.take(message)
    except (EOFError, OSError):
        os._exit(1)
    # A fork of multiprocessing ends without its exit functions, which delete what sources keep in temporary files.
    atexit._run_exitfuncs()


class _Worker:
    def __init__(self, connection: Connection, start: Start) -> None:
        os.environ.clear()
        os.environ.update(start.environment)
        if start.prepare is not None:
            start.prepare()
        self.connection = connection
        self.work: ShardWork = pickle.loads(start.work)
        self.stop = Stop()
        self.reasons: list[Failure] = []
        self._sending = threading.Lock()
        PAUSES.processes = self.work.workers
        PAUSES.join(self)
        for budget in (READ_AHEAD, RANGES, UPLOADS):
            budget.divide(self.work.workers)

    def take(self, message: Collect | Failure | Pause) -> None:
        """Begin a shard, stop, or keep a pause that another process was asked for."""
        if isinstance(message, Pause):
            PAUSES.announce(message, self)
            return
        if isinstance(message, Failure):
            self.reasons.append(message)
            self.stop.set(message)
            return
        self.stop = Stop()
        for why in self.reasons:
            self.stop.set(why)
        in_background(self._run, message, self.stop, name="shard")

    def paused(self, pause: Pause) -> None:
        """Send the attempt's process a pause that this one was asked for."""
        with suppress(OSError):  # it has died, which the main thread finds out
            self._send(pause)

    def _send(self, message: Any) -> None:
        with self._sending:
            self.connection.send(message)

    def _run(self, asked: Collect, stop: Stop) -> None:
        """Collect a shard, and send its progress and its end."""
        try:
            self._send(self._ended(asked, stop))
        except BaseException:  # the attempt's process would wait for ever; so it learns at once that this one is lost
            os._exit(1)

    def _ended(self, asked: Collect, stop: Stop) -> Ended:
        work, progress, sent = self.work, Progress(), Counts()
        policy = replace(work.policy, run=asked.run)
        try:
            shard = in_background(
                collect_shard, work.source, work.folder, work.attempt, asked.part, policy, stop, progress, name="shard"
            )
        except RuntimeError as error:  # the system's limit of threads is reached
            return Ended(None, error)
        while not wait([shard], timeout=_REPORT_EVERY).done:
            done = Counts(
                succeeded=progress.succeeded, failed=progress.failed, skipped=progress.skipped, bytes=progress.bytes,
                elsewhere=progress.elsewhere,
            )  # fmt: skip
            if done != sent:
                self._send(done)
                sent = done
        raised = shard.exception()
        return Ended(None, _sendable(raised)) if raised is not None else Ended(shard.result(), None)


def _sendable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


__all__: list[Any] = ["Collect", "Ended", "ShardWork", "Start", "serve"]
