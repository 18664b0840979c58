"""Submits the shards of an attempt, a bounded number at a time, and counts their outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from prefect_collect.codes import CODES, Failure
from prefect_collect.collecting.enumeration import Shard
from prefect_collect.collecting.policy import CollectionPolicy
from prefect_collect.errors import CollectError, StoreError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import why_not_attempted
from prefect_collect.job_folder.result import Counts
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop


class ShardFuture(Protocol):
    """What `submit` returns: a `concurrent.futures.Future`, or a future of Prefect."""

    def result(self) -> Counts:
        """Return the shard's counts, or raise the exception it ended with."""

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Register `fn` to be called with this future when it is done."""


Submit = Callable[[Shard], ShardFuture]


@dataclass
class ShardsInFlight:
    """The running shards of an attempt, no more than `limit` at a time."""

    folder: JobFolder
    attempt: int
    submit: Submit
    policy: CollectionPolicy
    limit: int
    stop: Stop
    progress: Progress
    done: Counts = field(default_factory=Counts)
    lock: threading.Condition = field(default_factory=threading.Condition)
    in_flight: int = 0

    def hand_out(self, shard: Shard) -> None:
        """Submit a shard as soon as fewer than `limit` run."""
        with self.lock:
            self.lock.wait_for(lambda: self.in_flight < self.limit)
            if self.stop:
                return
            self.in_flight += 1
            self.progress.phase = "Collecting"
        try:
            future = self.submit(shard)
        except BaseException as error:
            with self.lock:
                self.in_flight -= 1
            if not isinstance(error, Exception):
                raise
            self.stop.set(Failure("unexpected_error", f"A shard could not be started: {type(error).__name__}: {error}"))
            return
        future.add_done_callback(partial(self._finished, shard))

    def _finished(self, shard: Shard, future: ShardFuture) -> None:
        try:
            counts = future.result()
        except StoreError as error:
            self.stop.set(Failure(error.code, str(error)))
            counts = Counts()
        except BaseException as error:
            self.stop.set(Failure("unexpected_error", f"A shard ended with {type(error).__name__}: {error}"))
            counts = Counts()
        if counts.left and not self.stop:
            self._stop_like(shard)
        with self.lock:
            self.done += counts
            self.in_flight -= 1
            self._judge()
            self.lock.notify_all()

    def _judge(self) -> None:
        done = self.done.found - self.done.elsewhere + self.progress.settled
        if why := self.policy.too_many(self.done.failed, max(self.progress.could_succeed, done)):
            self.stop.set(why)

    def _stop_like(self, shard: Shard) -> None:
        """Stop for the reason that stopped a shard in another process, if it will stop all other shards too."""
        with suppress(CollectError):  # the closing of the attempt reads the ledger again, and reports the error
            why = why_not_attempted(self.folder, self.attempt, shard.part)
            if why is not None and CODES[why.code].stops_job:
                self.stop.set(why)

    def wait(self) -> None:
        """Return when no shard is running."""
        with self.lock:
            self.lock.wait_for(lambda: self.in_flight == 0)
