"""The Collections Snapshot: the number of jobs in each status, and what they collected and exported per data source.

As the specification says, a job that is Partially completed is counted under Completed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Final

from prefect_collect.escaping import markdown
from prefect_collect.pages.text import be, bytes_text, items
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup, job_statuses, snapshot_group

SOURCES_SHOWN: Final = 200
"""The number of data sources that the page names, those with the most bytes first; the others are one row."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """What the snapshot counts of one job.

    Attributes:
        kind: Collection or export.
        status: The job's status; None if it cannot be read: the job is then counted as unknown.
        source: The data source's name; empty if it is not known yet.
        items: The number of items that the job has collected or exported, after its last attempt.
        bytes: Their bytes.
        duplicates: The number of an export's items that have the bytes of another.
        withheld: How many of them it has not delivered again.
    """

    kind: JobKind
    status: JobStatus | None
    source: str = ""
    items: int = 0
    bytes: int = 0
    duplicates: int = 0
    withheld: int = 0


@dataclass(slots=True)
class Moved:
    """A number of jobs, and the items and bytes that they collected or exported, with the duplicates among these."""

    jobs: int = 0
    items: int = 0
    bytes: int = 0
    duplicates: int = 0
    withheld: int = 0

    def add(self, line: JobLine) -> None:
        """Count one more job with its items and bytes."""
        self.jobs += 1
        self.items += line.items
        self.bytes += line.bytes
        self.duplicates += line.duplicates
        self.withheld += line.withheld

    def __add__(self, other: Moved) -> Moved:
        return Moved(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Moved)))


def _both() -> dict[JobKind, Moved]:
    return {kind: Moved() for kind in JobKind}


@dataclass(frozen=True)
class Snapshot:
    """The counts of all jobs at one moment.

    Attributes:
        groups: The number of jobs by kind and group; 0 for a group that a kind never has.
        partially: The number of jobs under Completed that are Partially completed, by kind.
        unknown: The number of jobs whose status cannot be read, by kind.
        totals: The jobs, items and bytes of each kind.
        sources: The same for each data source, by its name.
    """

    groups: Mapping[tuple[JobKind, SnapshotGroup], int] = field(default_factory=Counter)
    partially: Mapping[JobKind, int] = field(default_factory=Counter)
    unknown: Mapping[JobKind, int] = field(default_factory=Counter)
    totals: Mapping[JobKind, Moved] = field(default_factory=_both)
    sources: Mapping[str, Mapping[JobKind, Moved]] = field(default_factory=lambda: MappingProxyType({}))


def take_snapshot(lines: Iterable[JobLine]) -> Snapshot:
    """Count the jobs, reading the lines once; memory grows with the number of sources, not of jobs."""
    groups: Counter[tuple[JobKind, SnapshotGroup]] = Counter()
    partially: Counter[JobKind] = Counter()
    unknown: Counter[JobKind] = Counter()
    totals = _both()
    sources: dict[str, dict[JobKind, Moved]] = {}
    for line in lines:
        totals[line.kind].add(line)
        sources.setdefault(line.source, _both())[line.kind].add(line)
        if line.status is None:
            unknown[line.kind] += 1
            continue
        groups[line.kind, snapshot_group(line.status)] += 1
        partially[line.kind] += line.status is JobStatus.PARTIALLY_COMPLETED
    return Snapshot(groups, partially, unknown, totals, sources)


def snapshot_page(snapshot: Snapshot, taken: datetime) -> str:
    """Return the snapshot as Markdown; `taken` is its time, in UTC."""
    lines = [
        "# Collections Snapshot",
        "",
        f"{_TAKEN}{taken:%Y-%m-%d %H:%M:%S} UTC.",
        "",
        "| status | collections | exports |",
        "| --- | ---: | ---: |",
        *(_group_row(snapshot, group) for group in SnapshotGroup),
        *_unknown_row(snapshot),
        _row("**all**", *(f"**{snapshot.totals[kind].jobs:,}**" for kind in JobKind)),
        "",
        *_partially(snapshot),
        "| | jobs | items | size |",
        "| --- | ---: | ---: | ---: |",
        *(_row(f"{done}", *_texts(snapshot.totals[kind])) for kind, done in _DONE.items()),
        "",
        *_duplicates(snapshot.totals[JobKind.EXPORT]),
        "## Per data source",
        "",
        *_source_table(snapshot),
    ]
    return "\n".join(lines) + "\n"


def counts_of_page(page: str) -> str:
    """Return a page without its time, so that pages with the same counts are the same text."""
    return "\n".join(line for line in page.splitlines() if not line.startswith(_TAKEN))


_TAKEN: Final = "Taken "
_DONE: Final = {JobKind.COLLECTION: "collected", JobKind.EXPORT: "exported"}


def _group_row(snapshot: Snapshot, group: SnapshotGroup) -> str:
    return _row(str(group), *(_number(snapshot, kind, group) for kind in JobKind))


def _number(snapshot: Snapshot, kind: JobKind, group: SnapshotGroup) -> str:
    possible = group in {snapshot_group(status) for status in job_statuses(kind)}
    return f"{snapshot.groups.get((kind, group), 0):,}" if possible else "–"


def _unknown_row(snapshot: Snapshot) -> list[str]:
    numbers = [snapshot.unknown.get(kind, 0) for kind in JobKind]
    return [_row("unknown", *(f"{number:,}" for number in numbers))] if any(numbers) else []


def _partially(snapshot: Snapshot) -> list[str]:
    numbers = [snapshot.partially.get(kind, 0) for kind in JobKind]
    if not any(numbers):
        return []
    collections, exports = numbers
    return [
        f"Of those Completed, {collections + exports:,} {be(collections + exports)} Partially completed "
        f"({collections:,} of the collections, {exports:,} of the exports): read their error reports.",
        "",
    ]


def _duplicates(exported: Moved) -> list[str]:
    if not exported.duplicates:
        return []
    found = f"{items(exported.duplicates)} of exports"
    withheld = f"{exported.withheld:,} {be(exported.withheld)} not delivered again"
    return [f"Duplicates: {found} with the bytes of another; {withheld}.", ""]


def _source_table(snapshot: Snapshot) -> list[str]:
    if not snapshot.sources:
        return ["There are no jobs yet."]
    named = sorted(snapshot.sources.items(), key=lambda each: (-sum(m.bytes for m in each[1].values()), each[0]))
    rows = [_source_row(markdown(name) or "(not known)", moved) for name, moved in named[:SOURCES_SHOWN]]
    rest = named[SOURCES_SHOWN:]
    if rest:
        both = {kind: sum((moved[kind] for _, moved in rest), Moved()) for kind in JobKind}
        rows.append(_source_row(f"{len(rest):,} more", both))
    return [
        "| data source | collections | items collected | size | exports | items exported | size |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]


def _source_row(name: str, moved: Mapping[JobKind, Moved]) -> str:
    return _row(name, *(text for kind in JobKind for text in _texts(moved[kind])))


def _texts(moved: Moved) -> tuple[str, str, str]:
    return f"{moved.jobs:,}", f"{moved.items:,}", bytes_text(moved.bytes)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
