"""Estimates of a collection before it starts: its items and bytes by listing the source, its time by earlier jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.errors import CollectError, SourceError
from prefect_collect.job_folder.estimates import Estimate, save_estimate
from prefect_collect.job_folder.folder import JobRecord, job_folders, now
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Listed, Source
from prefect_collect.sources.listing import proven
from prefect_collect.sources.query import Query
from prefect_collect.sources.sampling import Counted, LookGivenUp, failure_of, look_for
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop

_JOBS: Final = 5
"""The most earlier jobs whose throughput is used, the latest ones."""

_EVERY: Final = 1_000
"""The number of listed items after which progress is reported."""


def kept_estimate(
    source: Source,
    query: Query,
    described: Mapping[str, Any],
    identity: Mapping[str, Any],
    store: Store,
    progress: Callable[[int], object],
    seconds: float | None = None,
) -> Estimate:
    """Return the estimate of `estimate_collection`, and keep it in the store for the next job of source and query.

    Args:
        source: The source.
        query: The collection's query.
        described: The source as `JobRecord.source` describes it.
        identity: What distinguishes the source from others, as `save_estimate` takes it.
        store: The staging store.
        progress: Is called now and then with the number of items listed so far.
        seconds: The most seconds that the listing may take; by default it is not bounded.

    Raises:
        SourceError: The source cannot be listed to its end, or not within `seconds` (``timeout``).
        StoreError: The staging store cannot be read or written.
    """

    def look(stop: Stop) -> Estimate:
        def listed(number: int) -> None:
            stop.require_going()
            progress(number)

        return estimate_collection(source, query, described, store, listed)

    try:
        made = look(Stop()) if seconds is None else look_for(seconds, look)
    except CollectError:
        raise
    except LookGivenUp as error:
        name = described.get("name", "")
        raise SourceError(f"{error} Estimate it by a command, which waits. [{name}]", code="timeout") from error
    except Exception as error:
        failure = failure_of(source, error)
        raise SourceError(f"The source cannot be listed: {failure.message}", code=failure.code) from error
    save_estimate(store, identity, query, made)
    return made


def estimate_collection(
    source: Source, query: Query, described: Mapping[str, Any], store: Store, progress: Callable[[int], object]
) -> Estimate:
    """List a source to its end, and return what a collection of it is expected to take.

    Args:
        source: The source.
        query: The collection's query.
        described: The source as `JobRecord.source` describes it: its type and location.
        store: The staging store, whose earlier jobs of the source give the time.
        progress: Is called now and then with the number of items listed so far.

    Raises:
        SourceError: The listing failed or did not prove that it is complete. Exceptions of the source's library pass
            through, as `Source.classify` knows them.
        StoreError: The staging store cannot be listed.
    """
    counted = Counted()
    for listed in query.select(_with_progress(proven(source, query), progress)):
        counted.add(listed)
    return expected(counted, store, described)


def expected(counted: Counted, store: Store, described: Mapping[str, Any]) -> Estimate:
    """Return the estimate of a collection that takes these items. Raise StoreError."""
    found = list(_earlier(store, described))[:_JOBS]
    times = [seconds for run in found for seconds in run.scaled(counted.items, counted.bytes)]
    return Estimate(
        made_at=now(),
        items=counted.items,
        bytes=counted.bytes,
        unsized=counted.unsized,
        failed=sum(counted.outcomes.get("failed", {}).values()),
        shortest=min(times, default=None),
        longest=max(times, default=None),
        jobs=tuple(run.job_id for run in found),
    )


def _with_progress(listing: Iterable[Listed], progress: Callable[[int], object]) -> Iterator[Listed]:
    for number, listed in enumerate(listing, 1):
        if number % _EVERY == 0:
            progress(number)
        yield listed


@dataclass(frozen=True, slots=True)
class _Run:
    """What the first attempt of an earlier job took."""

    job_id: str
    items: int
    bytes: int
    seconds: float

    def scaled(self, items: int, size: int) -> Iterator[float]:
        """Yield the seconds that so many items and bytes take at this run's throughput: by items, and by bytes."""
        yield self.seconds * items / self.items
        if self.bytes and size:
            yield self.seconds * size / self.bytes


def _earlier(store: Store, described: Mapping[str, Any]) -> Iterator[_Run]:
    """Yield the first attempts of the collections of a source that took items, the latest first."""
    results: list[TaskResult] = []
    for folder in job_folders(store):
        try:
            if _is_of(folder.record(), described) and (closed := folder.closed_attempts()):
                result = folder.result(closed[0])
                results += [] if result is None or not result.this_attempt.succeeded else [result]
        except CollectError:
            continue
    for result in sorted(results, key=lambda one: one.ended, reverse=True):
        done, seconds = result.this_attempt, (result.ended - result.started).total_seconds()
        yield _Run(result.job_id, done.succeeded, done.bytes, seconds)


def _is_of(record: JobRecord, described: Mapping[str, Any]) -> bool:
    same = all(record.source.get(name) == described.get(name) for name in ("type", "location"))
    return same and record.kind is JobKind.COLLECTION and not record.options.get("since")
