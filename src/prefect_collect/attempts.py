"""Running one attempt of a collection: enumerate, hand out shards, and close. Knows nothing of Prefect.

Whoever calls gives `submit`, which runs `collect_shard` for a part somewhere (a thread, a Prefect task run, a cluster)
and returns its future.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from prefect_collect.closing import Ending, close_attempt, close_lost_attempts, listing_complete
from prefect_collect.control import Progress, Stop
from prefect_collect.enumeration import Shard, enumerate_source, held_ids, unsuccessful_items
from prefect_collect.errors import AttemptSuperseded, CollectError, SourceError, StoreError
from prefect_collect.items import Failure, Item
from prefect_collect.jobfolder import JobFolder, JobRecord, now
from prefect_collect.query import Query
from prefect_collect.results import Counts, TaskResult
from prefect_collect.sources import Source

CANCELED = Failure("canceled", "The job was canceled before it came to this item.")


class ShardFuture(Protocol):
    """What `submit` returns; `concurrent.futures.Future` and Prefect's futures are such."""

    def result(self) -> Counts:
        """The shard's counts, or the exception it ended with."""

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Have `fn` called with this future when it is done."""


Submit = Callable[[Shard], ShardFuture]


@dataclass(frozen=True)
class AttemptPolicy:
    """How an attempt is run.

    `tolerated_failure_percentage`: when more than this share of the items found so far has failed, judged after each
    shard, the attempt stops early (100: never). `on_empty`: whether it is a success or a failure that nothing matches.
    `in_flight`: how many shards are handed out at a time.
    """

    tolerated_failure_percentage: float = 100.0
    on_empty: Literal["succeed", "fail"] = "succeed"
    in_flight: int = 4


@dataclass
class _Running:
    """The shards that are being worked on."""

    submit: Submit
    policy: AttemptPolicy
    stop: Stop
    progress: Progress
    done: Counts = field(default_factory=Counts)
    lock: threading.Condition = field(default_factory=threading.Condition)
    in_flight: int = 0

    def hand_out(self, shard: Shard) -> None:
        """Submit a shard as soon as there is room."""
        with self.lock:
            self.lock.wait_for(lambda: self.in_flight < self.policy.in_flight)
            if self.stop:
                return
            self.in_flight += 1
        self.submit(shard).add_done_callback(self._finished)

    def _finished(self, future: ShardFuture) -> None:
        try:
            counts = future.result()
        except StoreError as error:
            self.stop.set(Failure(error.code, str(error)))
            counts = Counts()
        except Exception as error:
            self.stop.set(Failure("unexpected_error", f"A shard ended with {type(error).__name__}: {error}"))
            counts = Counts()
        with self.lock:
            self.done += counts
            self.in_flight -= 1
            self._judge()
            self.lock.notify_all()

    def _judge(self) -> None:
        tolerated = self.policy.tolerated_failure_percentage
        found = max(self.progress.found, self.done.found)
        if tolerated < 100 and found and 100.0 * self.done.failed / found > tolerated:
            self.stop.set(
                Failure(
                    "threshold_exceeded",
                    f"{self.done.failed} of {found} items failed, which is more than the tolerated {tolerated:g} %.",
                )
            )

    def wait(self) -> None:
        """Until no shard is being worked on."""
        with self.lock:
            self.lock.wait_for(lambda: self.in_flight == 0)


def run_attempt(
    folder: JobFolder,
    record: JobRecord,
    attempt: int,
    source: Source,
    submit: Submit,
    policy: AttemptPolicy,
    *,
    only: Iterable[Item] | None = None,
    stop: Stop | None = None,
    progress: Progress | None = None,
) -> TaskResult:
    """Run an attempt whose number was claimed, to its end, and return its result.

    A first attempt lists the source; a later one works on what has not succeeded yet (`only` names a part of it), and
    lists the source again if no attempt ever came to the end of it. Attempts that a dead process left open are
    closed first. An interrupt (KeyboardInterrupt, or another BaseException) makes the attempt Canceled.
    Raises AttemptSuperseded if another process took over, StoreError if the result cannot be written.
    """
    stop = Stop() if stop is None else stop
    progress = progress or Progress()
    started = now()
    close_lost_attempts(folder, record, attempt)
    running = _Running(submit, policy, stop, progress)
    ending = Ending()
    try:
        for shard in _shards(folder, record, attempt, source, only, stop, progress):
            running.hand_out(shard)
        progress.listing = False
    except SourceError as error:
        ending.job_failures.append(Failure(error.code, str(error), error.http_status))
    except StoreError as error:
        stop.set(Failure(error.code, str(error)))
    except CollectError:
        raise
    except BaseException as error:
        if isinstance(error, Exception):
            raise
        stop.set(CANCELED)
    _wait(running, stop)
    progress.phase = "Closing"
    folder.require_current(attempt)
    _conclude(ending, stop, progress, policy, folder, attempt)
    return close_attempt(folder, record, attempt, ending, started)


def _wait(running: _Running, stop: Stop) -> None:
    try:
        running.wait()
    except BaseException as error:
        if isinstance(error, Exception):
            raise
        stop.set(CANCELED)
        running.wait()


def _conclude(
    ending: Ending, stop: Stop, progress: Progress, policy: AttemptPolicy, folder: JobFolder, attempt: int
) -> None:
    if stop.why is not None:
        ending.missing = stop.why
        ending.canceled = stop.why.code == "canceled"
        if not ending.canceled:
            ending.job_failures.append(stop.why)
    elif progress.found == 0 and not ending.job_failures and attempt == 1:
        nothing = Failure("nothing_matched", "Nothing at the source matched, so nothing was collected.")
        if policy.on_empty == "fail":
            ending.job_failures.append(nothing)
        else:
            ending.warnings.append(nothing.message)


def _shards(
    folder: JobFolder, record: JobRecord, attempt: int, source: Source, only: Iterable[Item] | None, stop: Stop,
    progress: Progress,
) -> Iterator[Shard]:  # fmt: skip
    query = Query.of(record.query)
    previous = folder.result()
    if previous is None:
        return enumerate_source(source, query, folder, attempt, stop=stop, progress=progress)
    left = unsuccessful_items(folder, previous.attempt)
    if only is not None or listing_complete(folder, previous.attempt):
        redo = left if only is None else only
        return enumerate_source(source, query, folder, attempt, redo=redo, stop=stop, progress=progress)
    held = held_ids(folder, previous.attempt)
    return enumerate_source(source, query, folder, attempt, held=held, also=left, stop=stop, progress=progress)


def started_at(folder: JobFolder, attempt: int) -> datetime:
    """When the attempt was claimed."""
    return datetime.fromisoformat(folder.claimed(attempt)["claimed_at"])


__all__ = ["CANCELED", "AttemptPolicy", "AttemptSuperseded", "ShardFuture", "Submit", "run_attempt", "started_at"]
