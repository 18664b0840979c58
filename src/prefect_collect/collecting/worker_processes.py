"""The worker processes of an attempt, of which each collects one shard at a time. Does not use Prefect.

They are forked (`threads.forked`), and end with the process of the attempt, also if that is killed. A worker that is
killed costs what it did not commit: its shard is run again in another.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from multiprocessing import Pipe
from secrets import token_hex
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from prefect_collect.codes import CANCELED
from prefect_collect.collecting.stop_signals import StopSignals
from prefect_collect.collecting.worker import Collect, Ended, ShardWork, Start, serve
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.ledger_counts import ledger_counts
from prefect_collect.job_folder.result import Counts
from prefect_collect.threads.forked import ForkedProcess, start_fork_server
from prefect_collect.threads.places import Places
from prefect_collect.threads.server_pauses import PAUSES, Pause
from prefect_collect.threads.stop import GRACE

_RUNS: Final = 3
"""How often a shard is run whose worker dies; then its items are not attempted."""

_LOOK: Final = 0.2
"""Seconds within which a worker learns that the attempt stops."""

_ENDING: Final = 5.0
"""Seconds in which an idle worker may end by itself."""

_CANCELING: Final = GRACE + 60.0
"""Seconds after a cancel in which a worker ends its calls and commits what it has; then it is killed."""


class WorkerLost(Exception):
    """A worker died while it had a shard."""


class WorkerProcesses:
    """Up to so many worker processes as `work` says, each of which is started when a shard needs it.

    Leaving the `with` block ends them; no shard may be running then.

    Args:
        work: What the workers need.
        shared: The attempt's stop signals and progress.
        warn: Called with a message (and its arguments) for each worker that was lost.
        pickled: Pickles the work; sources of a user's own script need more than `pickle`.
        environment: The environment variables of the workers.
        prepare: Called in each worker before the work is unpickled.
    """

    def __init__(
        self,
        work: ShardWork,
        shared: StopSignals,
        warn: Callable[..., None],
        *,
        pickled: Callable[[object], bytes] = pickle.dumps,
        environment: Mapping[str, str] = os.environ,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self._work, self._shared, self._warn = work, shared, warn
        self._pickled, self._environment, self._prepare = pickled, environment, prepare
        self._places = Places(work.workers)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        kinds: list[Any] = [serve, self._prepare, *type(self._work.source).__mro__]
        modules = dict.fromkeys(kind.__module__ for kind in kinds if kind is not None)
        start_fork_server([name for name in modules if name != "__main__"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._idle:
            worker.say_end()
        for worker in self._idle:
            worker.end()
        self._idle.clear()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that have no shard."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def start_all(self) -> None:
        """Start all workers, as many as are not running, without a shard."""
        while len(self._idle) < self._work.workers:
            self._idle.append(self._started())

    def collect(self, part: int) -> Counts:
        """Have a worker collect a shard, as `collecting.shard.collect_shard` does, and return its counts."""
        for run in range(_RUNS):
            with self._places:
                try:
                    # Its name keeps a second run from what the first one left, and lets it find what that committed.
                    return self._collect(Collect(part, token_hex(4) if run else ""))
                except WorkerLost as lost:
                    if self._shared.stop.canceled:
                        break
                    again = "it is run again" if run + 1 < _RUNS else "its items are not attempted"
                    self._warn("The process of shard %d was lost (%s); %s.", part, lost, again)
        committed = read_ledger(self._work.folder, self._work.attempt, part)
        return self._counted(Counts() if committed is None else ledger_counts(committed), Counts())

    def _collect(self, asked: Collect) -> Counts:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = self._started()
        counted = Counts()
        try:
            worker.send(asked)
            while True:
                answer = worker.answer(self._shared)
                if isinstance(answer, Ended):
                    break
                counted = self._counted(answer, counted)
        except (EOFError, OSError) as error:
            self._counted(Counts(), counted)
            raise WorkerLost(f"process {worker.pid}: {worker.end()}") from error
        except BaseException:
            worker.say_end()
            worker.end()
            raise
        with self._lock:
            self._idle.append(worker)
        if answer.error is not None or answer.counts is None:
            self._counted(Counts(), counted)
            raise answer.error or RuntimeError("A worker process answered with nothing.")
        self._counted(answer.counts, counted)
        return answer.counts

    def _started(self) -> _Worker:
        return _Worker(Start(dict(self._environment), self._prepare, self._pickled(self._work)))

    def _counted(self, present: Counts, before: Counts) -> Counts:
        """Add to the progress what a shard has done since `before`, and stop if too many items have failed."""
        progress = self._shared.progress
        progress.add(
            succeeded=present.succeeded - before.succeeded,
            failed=present.failed - before.failed,
            skipped=present.skipped - before.skipped,
            bytes=present.bytes - before.bytes,
            elsewhere=present.elsewhere - before.elsewhere,
        )
        # A worker cannot judge: it does not know how many items the attempt has found.
        if why := self._work.policy.collection.too_many(progress.failed, progress.could_succeed):
            self._shared.stop.set(why)
        return present


class _Worker:
    """A worker process, as the attempt's process sees it."""

    def __init__(self, start: Start) -> None:
        self._connection, theirs = Pipe()
        self._process = ForkedProcess(target=serve, args=(theirs,), name="collect shards")
        self._process.start()
        theirs.close()
        self._said: set[str] = set()
        self._killed_at = inf
        self._sending = threading.Lock()
        with suppress(OSError):  # it has died, which the first shard finds out
            self.send(start)
        PAUSES.join(self)

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def send(self, message: Any) -> None:
        """Send a message. Raise OSError if the process has died."""
        with self._sending:
            self._connection.send(message)

    def paused(self, pause: Pause) -> None:
        """Pass on a pause that another process was asked for."""
        with suppress(OSError):
            self.send(pause)

    def answer(self, shared: StopSignals) -> Counts | Ended:
        """Wait for an answer, and pass on that the attempt stops, and to others the pauses that a server asked for.

        Raise EOFError or OSError if the process has died, or was killed as it did not end its shard after a cancel.
        """
        while True:
            for reason in (shared.stop.why, CANCELED if shared.stop.canceled else None):
                if reason is not None and reason.code not in self._said:
                    self._said.add(reason.code)
                    self.send(reason)
                    if reason.code == CANCELED.code:
                        self._killed_at = monotonic() + _CANCELING
            if self._connection.poll(_LOOK):
                received: Counts | Ended | Pause = self._connection.recv()
                if not isinstance(received, Pause):
                    return received
                PAUSES.announce(received, self)
            if monotonic() > self._killed_at:
                self._process.kill()
                raise TimeoutError

    def say_end(self) -> None:
        """Ask the process to end."""
        with suppress(OSError):
            self.send(None)

    def end(self) -> str:
        """Wait for the end of the process, kill it if it does not end, and return how it ended."""
        self._process.join(_ENDING)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        with self._sending:
            self._connection.close()
        code = self._process.exitcode
        return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


__all__ = ["WorkerProcesses"]
