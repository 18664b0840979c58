"""The table of jobs: which rows of all jobs are shown, in which order, on which page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import urlencode

from prefect_collect.console.job_row import JobRow
from prefect_collect.console.page_query import MOST_PAGES, whole
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup, snapshot_group

PAGE_ROWS: Final = 25

_FIRST: Final = datetime.min.replace(tzinfo=UTC)

SORTS: Final[Mapping[str, Callable[[JobRow], Any]]] = {
    "created": lambda row: row.created or _FIRST,
    "started": lambda row: row.started or _FIRST,
    "ended": lambda row: row.ended or _FIRST,
    "name": lambda row: row.name.casefold(),
    "source": lambda row: row.source.casefold(),
    "custodian": lambda row: row.custodian.casefold(),
    "status": lambda row: str(row.status or ""),
    "kind": lambda row: str(row.kind),
    "items": lambda row: row.items,
    "bytes": lambda row: row.bytes,
}
"""The columns by which the table can be sorted."""


@dataclass(frozen=True)
class TableQuery:
    """What the table shows, as its address says it: each field is a parameter of the address.

    Attributes:
        status: A status or a group of the Snapshot, as "Partially completed" or "Completed"; "" for all.
        kind: "collection" or "export"; "" for both.
        source: The whole name of a data source; "" for all.
        text: A part of the name, the source, the custodian, the message or the id, in any case.
        since: The first day on which the jobs were created, as 2026-01-31; "" for no bound.
        until: The last day, which is included.
        sort: The column, one of `SORTS`, after "-" if the largest value comes first.
        page: The page, from 1.
    """

    status: str = ""
    kind: str = ""
    source: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    sort: str = "-created"
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> TableQuery:
        """Return what the parameters of an address ask for; what cannot be understood is left out."""
        known = {each.name: parameters[each.name] for each in fields(cls) if parameters.get(each.name)}
        query = cls(**{**known, "page": whole(known.get("page", ""), MOST_PAGES) or 1})  # type: ignore[arg-type]
        return replace(
            query,
            status=query.status if query.status in (*JobStatus, *SnapshotGroup) else "",
            kind=query.kind if query.kind in list(JobKind) else "",
            since=query.since if _day(query.since) else "",
            until=query.until if _day(query.until) else "",
            sort=query.sort if query.sort.removeprefix("-") in SORTS else "-created",
        )

    def on_page(self, page: int) -> TableQuery:
        """Return the same query for another page."""
        return replace(self, page=page)

    @property
    def column(self) -> str:
        """The column by which the rows are sorted."""
        return self.sort.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        """True if the largest value comes first."""
        return self.sort.startswith("-")

    @property
    def is_filtered(self) -> bool:
        """True if rows may be left out."""
        return any((self.status, self.kind, self.source, self.text, self.since, self.until))

    def address(self, **changed: Any) -> str:
        """Return the parameters as text for an address, with some changed; those with their default are left out."""
        query = replace(self, **changed)
        values = {each.name: getattr(query, each.name) for each in fields(query)}
        return urlencode({name: value for name, value in values.items() if value != getattr(TableQuery, name)})

    def sorted_by(self, column: str) -> str:
        """Return the address of the same rows sorted by a column; the other way round if they are sorted by it now."""
        again = self.column == column
        descending = not self.is_descending if again else column in ("created", "started", "ended", "items", "bytes")
        return self.address(sort=f"-{column}" if descending else column, page=1)


@dataclass(frozen=True)
class TablePage:
    """One page of the table.

    Attributes:
        rows: The rows of the page.
        total: The number of rows on all pages.
        pages: The number of pages, at least 1.
        page: The number of this page, from 1.
    """

    rows: tuple[JobRow, ...]
    total: int
    pages: int
    page: int


def table_page(rows: Iterable[JobRow], query: TableQuery, size: int = PAGE_ROWS) -> TablePage:
    """Return the page that the query asks for; the last page if there are fewer."""
    found = sorted(
        (row for row in rows if _matches(row, query)),
        key=lambda row: (SORTS[query.column](row), row.created or _FIRST, row.id),
        reverse=query.is_descending,
    )
    pages = max(1, -(-len(found) // size))
    page = min(query.page, pages)
    return TablePage(tuple(found[(page - 1) * size : page * size]), len(found), pages, page)


def places(rows: Iterable[JobRow]) -> dict[str, int]:
    """Return the place in its queue of each queued job, from 1, by job id."""
    queues: dict[str, list[JobRow]] = defaultdict(list)
    for row in rows:
        if row.status is JobStatus.QUEUED and row.queue:
            queues[row.queue].append(row)
    return {
        row.id: place
        for queue in queues.values()
        for place, row in enumerate(sorted(queue, key=lambda row: (row.queued or "~", row.id)), 1)
    }


def _matches(row: JobRow, query: TableQuery) -> bool:
    if query.kind and row.kind != query.kind:
        return False
    if query.source and row.source != query.source:
        return False
    if query.status and not _has_status(row, query.status):
        return False
    if query.text and not _contains(row, query.text.casefold()):
        return False
    day = (row.created or _FIRST).astimezone(UTC).date()
    first, last = _day(query.since), _day(query.until)
    return (first is None or day >= first) and (last is None or day <= last)


def _has_status(row: JobRow, status: str) -> bool:
    return row.status is not None and status in (row.status.value, snapshot_group(row.status).value)


def _contains(row: JobRow, text: str) -> bool:
    return any(text in value.casefold() for value in (row.name, row.source, row.custodian, row.message, row.id))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
