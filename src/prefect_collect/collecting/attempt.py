"""Runs one attempt of a collection: lists the source, hands out shards, and closes the attempt. Does not use Prefect.

The caller passes `submit`, which starts `collect_shard` for a part (in a thread, a Prefect task run, or on a cluster)
and returns its future.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from prefect_collect.codes import CANCELED, CODES, Failure
from prefect_collect.collecting.closing import Ending, close_attempt, close_lost_attempts
from prefect_collect.collecting.custodians import Custodians
from prefect_collect.collecting.enumeration import Doubled, Shard, enumerate_source
from prefect_collect.collecting.incremental import Incremental
from prefect_collect.collecting.policy import CollectionPolicy
from prefect_collect.collecting.retry_items import RetryItems
from prefect_collect.collecting.shards_in_flight import ShardFuture, ShardsInFlight, Submit
from prefect_collect.errors import CollectError, JobCanceled, SourceError, StoreError, UsageError
from prefect_collect.escaping import one_line
from prefect_collect.job_folder.checked_evidence import Vouched, vouched
from prefect_collect.job_folder.folder import JobFolder, JobRecord, now
from prefect_collect.job_folder.id_sets import IdSet
from prefect_collect.job_folder.long_queries import whole
from prefect_collect.job_folder.result import Counts, TaskResult
from prefect_collect.sources import Item, Listed, Source
from prefect_collect.sources.attempts import AttemptSource, for_attempt
from prefect_collect.sources.glob_hint import plain_hint
from prefect_collect.sources.listing import HeldItems, can_continue, proven
from prefect_collect.sources.overlaps import Outside, outside
from prefect_collect.sources.query import Query
from prefect_collect.threads.progress import Progress
from prefect_collect.threads.stop import Stop, stopped_by


def run_attempt(
    folder: JobFolder,
    record: JobRecord,
    attempt: int,
    source: Source,
    submit: Submit,
    policy: CollectionPolicy,
    *,
    in_flight: int = 4,
    only: Iterable[Item] | None = None,
    stop: Stop | None = None,
    progress: Progress | None = None,
    since: Incremental | None = None,
    elsewhere: bool = False,
) -> TaskResult:
    """Run an attempt, whose number is claimed, to its end, and return its result.

    A first attempt lists the source. A later one works on the items that have not succeeded yet, or on those of them
    that `only` names; it lists the source again if no earlier attempt listed it to its end. Attempts that a dead
    process left open are closed first. An incremental collection compares with the jobs in its record
    (`since_options`), or with `since`. An interrupt (KeyboardInterrupt, or another BaseException) makes the attempt
    Canceled. `in_flight` is the number of shards that run at a time, and `elsewhere` is whether they run in other
    processes. What the source keeps for an attempt (`sources.attempts`) is kept until the last shard has ended.

    Raises:
        AttemptSuperseded: Another process has claimed a later attempt, or closed this one.
        StoreError: The result cannot be written.
        EvidenceError: The custody log does not vouch for the files of the earlier attempts.
    """
    stop = Stop() if stop is None else stop
    progress = progress or Progress()
    started = now()
    close_lost_attempts(folder, record, attempt)
    closed = folder.closed_attempts()
    evidence = vouched(folder, closed[-1]) if closed else None
    if evidence is not None:
        evidence.require_attempt(closed[-1])
    previous = None if evidence is None else evidence.result(closed[-1])
    before = Counts() if previous is None else previous.counts
    progress.settled = before.succeeded + before.skipped
    running = ShardsInFlight(folder, attempt, submit, policy, in_flight, stop, progress)
    work = _Work(folder, record, attempt, source, evidence, previous, only)
    ending = Ending()
    kept = ExitStack()
    try:
        work.kept = kept.enter_context(for_attempt(source, elsewhere=elsewhere))
        work.source = outside(work.kept.source, folder.store)
        if isinstance(work.source, Outside):
            ending.warnings.append(work.source.warning)
        with (
            _compared(folder, record, work.source, since, stop, ending) as held,
            closing(work.shards(stop, progress, held)) as shards,
        ):
            for shard in shards:
                running.hand_out(shard)
        progress.listing = False
    except SourceError as error:
        ending.job_failures.append(Failure(error.code, str(error), error.http_status))
    except StoreError as error:
        stop.set(Failure(error.code, str(error)))
    except JobCanceled:
        stop.set(CANCELED)
    except CollectError:
        kept.close()
        raise
    except Exception as error:
        stop.set(Failure("unexpected_error", f"{type(error).__name__}: {error}"))
    except BaseException:
        stop.set(CANCELED)
    with kept:
        _wait(running, stop)
    ending.warnings += work.kept.warnings if work.kept is not None else ()
    progress.phase = "Closing"
    folder.require_current(attempt)
    if work.remaining is None:
        ending.warnings += work.custodians.warnings(progress.found)
    if left_out := work.left_out:
        ending.warnings.append(
            f"{left_out} items of the report were left out: they were collected in the meantime, cannot be "
            "retried, or belong to another job."
        )
    ending.notes += work.notes
    ending.warnings += [*work.said, *work.doubled.warnings()]
    _conclude(ending, stop, policy, record, is_empty=before.found + progress.found == 0)
    return close_attempt(folder, record, attempt, ending, started)


@contextmanager
def _compared(
    folder: JobFolder, record: JobRecord, source: Source, since: Incremental | None, stop: Stop, ending: Ending
) -> Iterator[Incremental | None]:
    jobs = record.options.get("since_jobs")
    if since is not None or not jobs:
        yield since
        return
    with stopped_by(stop):
        opened = Incremental(folder.store, jobs, listings=can_continue(source))
    ending.warnings += opened.left_out
    with opened:
        yield opened


def _wait(running: ShardsInFlight, stop: Stop) -> None:
    while True:
        try:
            return running.wait()
        except BaseException as error:
            if isinstance(error, Exception):
                raise
            stop.set(CANCELED)


def _conclude(ending: Ending, stop: Stop, policy: CollectionPolicy, record: JobRecord, *, is_empty: bool) -> None:
    if stop.why is not None:
        ending.missing = stop.why
        ending.canceled = stop.canceled
        if stop.why.code == "threshold_exceeded" or CODES[stop.why.code].stops_job:
            ending.early = stop.why
        elif not ending.canceled:
            ending.job_failures.append(stop.why)
    elif is_empty and not ending.job_failures:
        # Patterns that are too many for the record are not read again for this.
        hint = one_line(plain_hint((record.query or {}).get("include") or ()))
        why = "Nothing at the source matched" if record.query else "There is nothing at the source"
        said = f"{why}, so nothing was collected."
        nothing = Failure("nothing_matched", f"{said}{' ' if hint else ''}{hint}")
        if policy.on_empty == "fail":
            ending.job_failures.append(nothing)
        else:
            ending.warnings.append(nothing.message)


@dataclass
class _Work:
    """The work of an attempt; `previous` is the result of the attempt before it, for which the `evidence` vouches."""

    folder: JobFolder
    record: JobRecord
    attempt: int
    source: Source
    evidence: Vouched | None
    previous: TaskResult | None
    only: Iterable[Item] | None
    kept: AttemptSource | None = None
    wanted: int = 0
    remaining: RetryItems | None = None
    doubled: Doubled = field(default_factory=Doubled)
    said: list[str] = field(default_factory=list)
    custodians: Custodians = field(init=False)

    def __post_init__(self) -> None:
        self.custodians = Custodians(self.record.custodian, self.record.custodian_folder, self.record.custodians)

    def shards(self, stop: Stop, progress: Progress, since: Incremental | None) -> Generator[Shard]:
        """Yield the shards as they are listed. Raise UsageError if `only` is given and there is nothing to retry."""
        query = whole(self.folder, self.record.query)
        items, listed = self._items(query, since if since is not None and since.has_listings else None)
        items = items if self.kept is None else self.kept.marked(items)
        resolved = self.remaining.resolved if self.remaining is not None else ()
        return enumerate_source(
            self.source,
            items,
            self.folder,
            self.attempt,
            listed=listed,
            resolved=resolved,
            stop=stop,
            progress=progress,
            since=since,
            doubled=self.doubled,
            said=self.said,
            custodians=self.custodians,
        )

    def _items(self, query: Query, held: HeldItems | None) -> tuple[Iterator[Listed], bool]:
        """Return the items, and whether they are all that the source has."""
        previous = self.previous
        if previous is None or self.evidence is None:
            if self.only is not None:
                raise UsageError(
                    f"This job has no attempt to retry, so no report can be retried. [job={self.folder.job_id}]"
                )
            return query.select(proven(self.source, query, held)), True
        self.remaining = RetryItems(self.source, query, self.folder, self.evidence, previous)
        if self.only is not None:
            ids = {item.id for item in self.only}
            wanted = IdSet()
            wanted.add(ids)
            self.wanted = len(ids)
            return self.remaining.again(wanted), False
        if previous.counts.found and previous.listing_complete and not self.remaining.has_unnamed():
            return self.remaining.again(), False
        return self.remaining.listed_anew(), True

    @property
    def notes(self) -> list[str]:
        """What the result says of items that the source does not list any more, though the job holds them."""
        if self.remaining is None or not (number := self.remaining.unlisted):
            return []
        which = "item that the job holds is" if number == 1 else "items that the job holds are"
        query = self.remaining.query
        changing = (query.modified_after, query.modified_before, query.min_size, query.max_size)
        taken = "" if all(one is None for one in changing) else ", or not with a time and size that the query takes"
        return [f"{number:,} {which} not listed by the source any more{taken}; the job keeps what it has collected."]

    @property
    def left_out(self) -> int:
        """The number of items that were asked for but cannot be retried."""
        return self.wanted - self.remaining.retried if self.wanted and self.remaining is not None else 0


__all__ = ["ShardFuture", "Submit", "run_attempt"]
