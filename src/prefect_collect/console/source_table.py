"""The page of sources: each saved source with its last collections, success rates, schedules and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prefect_collect.console.job_row import JobRow
from prefect_collect.jobs import CollectionSchedule, SavedSource
from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus

BARS: Final = 20
"""The most collections in the plot of a source."""

LAST: Final = 3
"""The collections that are listed for a source."""

BAR_WIDTH: Final = 8
PLOT_HEIGHT: Final = 40

_MEANINGS: Final = {
    LifecycleStatus.ACTIVE: "Jobs start on this source.",
    LifecycleStatus.SUSPENDED: "No job starts on this source for now; activate it to go on.",
    LifecycleStatus.ARCHIVED: "No job starts on this source any more; its jobs and what they collected stay.",
}

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_ENDED: Final = (JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED, JobStatus.FAILED)


@dataclass(frozen=True)
class Bar:
    """A bar of a plot: a collection that ended, with its place in the picture and its success rate in percent."""

    row: JobRow
    rate: float
    x: int
    y: float
    height: float


@dataclass(frozen=True)
class SourceRow:
    """A source on the page.

    Attributes:
        source: The source.
        last: Its last collections, the newest first.
        bars: The success rates of the last collections that ended, the oldest first.
        schedules: The schedules that collect it.
        limits: How many jobs may run at once, by kind.
        open: The number of its jobs that have not ended.
    """

    source: SavedSource
    last: tuple[JobRow, ...]
    bars: tuple[Bar, ...]
    schedules: tuple[CollectionSchedule, ...]
    limits: Mapping[JobKind, int]
    open: int

    @property
    def meaning(self) -> str:
        """What the source's lifecycle means for its jobs, in a sentence."""
        return _MEANINGS[self.source.lifecycle]

    @property
    def summary(self) -> str:
        """The plot in words."""
        if not self.bars:
            return "No collection has ended yet."
        rates = [bar.rate for bar in self.bars]
        if len(rates) == 1:
            return f"One collection has ended: {rates[0]:.1f} %."
        return (
            f"Success rates of the last {len(rates)} collections that ended: the newest {rates[-1]:.1f} %, on average "
            f"{sum(rates) / len(rates):.1f} %, at least {min(rates):.1f} %."
        )


def source_rows(
    sources: Iterable[SavedSource],
    jobs: Iterable[JobRow],
    schedules: Iterable[CollectionSchedule],
    limits: Mapping[tuple[JobKind, str], int],
) -> list[SourceRow]:
    """Return the rows of the page, in the order of the sources.

    Args:
        sources: The saved sources.
        jobs: All jobs.
        schedules: All schedules of collections.
        limits: The limits that differ from 1, by kind of job and name of the source.
    """
    by_source: dict[str, list[JobRow]] = {}
    for job in jobs:
        by_source.setdefault(job.source, []).append(job)
    planned = [*schedules]
    return [_row(source, by_source.get(source.name, []) if source.name else [], planned, limits) for source in sources]


def _row(
    source: SavedSource,
    jobs: list[JobRow],
    schedules: list[CollectionSchedule],
    limits: Mapping[tuple[JobKind, str], int],
) -> SourceRow:
    collections = sorted(
        (job for job in jobs if job.kind is JobKind.COLLECTION), key=lambda job: job.created or _FIRST, reverse=True
    )
    return SourceRow(
        source,
        tuple(collections[:LAST]),
        _bars(collections),
        tuple(one for one in schedules if one.source_block == source.id),
        {kind: limits.get((kind, source.name), 1) for kind in JobKind},
        sum(job.status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS) for job in jobs),
    )


def _bars(newest_first: list[JobRow]) -> tuple[Bar, ...]:
    """Return a bar for each of the last collections that ended and whose success rate is known."""
    rated = [(job, rate) for job in newest_first if job.status in _ENDED and (rate := _rate(job)) is not None]
    bars = []
    for number, (job, rate) in enumerate(reversed(rated[:BARS])):
        height = max(1.0, round(rate / 100 * PLOT_HEIGHT, 1))  # a rate of 0 is seen, too
        bars.append(Bar(job, rate, number * (BAR_WIDTH + 2), round(PLOT_HEIGHT - height, 1), height))
    return tuple(bars)


def _rate(job: JobRow) -> float | None:
    if job.rate is None and job.status is JobStatus.SUCCESSFULLY_COMPLETED:
        return 100.0
    return 0.0 if job.rate is None and job.status is JobStatus.FAILED else job.rate
