"""The tables of a job's items and errors, page by page, from the checked files of an attempt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any, Final

from prefect_collect import jobs
from prefect_collect.codes import CODES
from prefect_collect.console.item_query import SUCCEEDED, ItemQuery, Rows, held_rows, reported_rows
from prefect_collect.console.recent import Recent
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.ledger_rules import is_settled
from prefect_collect.statuses import JobKind

PAGE_ROWS: Final = 50

_MOST_SEARCHES: Final = 6
_MOST_ATTEMPTS: Final = 32
_MOST_BYTES: Final = 4 << 30
_IDLE_SECONDS: Final = 900.0
"""Checked copies are kept for so many attempts, of so many bytes on the disk, and so long after their last use."""

_HELD: Final = ["path", "original_path", "size", "collected_at"]
_REPORTED: Final = [
    "item_id", "path", "outcome", "error_code", "message", "suggested_action", "who_must_act", "retryable", "tries",
    "http_status", "size", "last_failed_at",
]  # fmt: skip


@dataclass(frozen=True)
class ItemRow:
    """A row of a table of items.

    Attributes:
        number: The item's number in the addresses of pages: the rows of the manifest, then those of the error report.
        path: The source's path; "" for a row about the job as a whole.
        outcome: What came of it.
        size: Its bytes, if they are known.
        at: When it was collected, or failed last.
        report: The row of the error report, from 0; None for an item that succeeded.
        code: The error code; "" for an item that succeeded.
        message: What happened.
        action: What to do.
        who: Who must act.
        tries: How often it was tried.
        can_retry: True if it can be selected for a retry.
    """

    number: int
    path: str
    outcome: str
    size: int | None
    at: datetime | None
    report: int | None = None
    code: str = ""
    message: str = ""
    action: str = ""
    who: str = ""
    tries: int | None = None
    can_retry: bool = False


@dataclass(frozen=True)
class ItemPage:
    """One page of a table: its rows, how many rows and pages there are, and this page's number, from 1."""

    rows: tuple[ItemRow, ...]
    total: int
    pages: int
    page: int


class ItemTables:
    """The tables of one attempt; the last searches are kept, so that a next page costs only its own rows."""

    def __init__(self, files: CheckedFiles) -> None:
        self.files = files
        self._lock = threading.Lock()
        self._searches: Recent[tuple[str, ItemQuery], Rows] = Recent(_MOST_SEARCHES)

    def items(self, query: ItemQuery) -> ItemPage:
        """Return a page of all items: those held, then those that did not succeed."""
        held = self._search("held", query, lambda: held_rows(self.files.manifest, query))
        reported = self._search("reported", query, lambda: reported_rows(self.files.errors, query))
        page, chosen = _page(query, len(held) + len(reported))
        rows = self._held(_listed(held[chosen[0] : chosen[1]]))
        rows += self.reported(_listed(reported[max(0, chosen[0] - len(held)) : max(0, chosen[1] - len(held))]))
        return replace(page, rows=tuple(rows))

    def errors(self, query: ItemQuery) -> ItemPage:
        """Return a page of the error report, with the rows about the job as a whole."""
        found = self._errors(query)
        page, chosen = _page(query, len(found))
        return replace(page, rows=tuple(self.reported(_listed(found[chosen[0] : chosen[1]]))))

    def error_rows(self, query: ItemQuery) -> list[int]:
        """Return the numbers of all rows of the error report that the query takes."""
        return _listed(self._errors(query))

    def _errors(self, query: ItemQuery) -> Rows:
        return self._search("errors", query, lambda: reported_rows(self.files.errors, query, items_only=False))

    def held_count(self) -> int:
        """Return how many items are held: the number of the error report's first row in the table of items."""
        return self.files.manifest.num_rows

    def _search(self, name: str, query: ItemQuery, find: Callable[[], Rows]) -> Rows:
        key = name, replace(query, page=1, attempt="")
        with self._lock:
            return self._searches.of(key, find)

    def _held(self, numbers: list[int]) -> list[ItemRow]:
        if not numbers:
            return []
        rows = self.files.manifest.take(numbers, _HELD).to_pylist()
        return [
            ItemRow(number, row["original_path"], SUCCEEDED, row["size"], row["collected_at"])
            for number, row in zip(numbers, rows, strict=True)
        ]

    def reported(self, numbers: Sequence[int]) -> list[ItemRow]:
        """Return rows of the error report, by their ascending numbers."""
        if not numbers:
            return []
        before = self.held_count()
        rows = self.files.errors.take(numbers, _REPORTED).to_pylist()
        return [_reported_row(before, number, row) for number, row in zip(numbers, rows, strict=True)]


def _listed(rows: Rows) -> list[int]:
    return [int(row) for row in rows]


def _reported_row(before: int, number: int, row: dict[str, Any]) -> ItemRow:
    return ItemRow(
        number=before + number,
        path=row["path"] or "",
        outcome=row["outcome"],
        size=row["size"],
        at=row["last_failed_at"],
        report=number,
        code=row["error_code"] or "",
        message=row["message"] or "",
        action=row["suggested_action"] or "",
        who=row["who_must_act"] or "",
        tries=row["tries"],
        can_retry=row["item_id"] is not None and not is_settled(row["outcome"], row["error_code"]),
    )


def _page(query: ItemQuery, total: int) -> tuple[ItemPage, tuple[int, int]]:
    """Return the page without its rows, and the first and the end of its rows among all."""
    pages = max(1, -(-total // PAGE_ROWS))
    page = min(query.page, pages)
    return ItemPage((), total, pages, page), ((page - 1) * PAGE_ROWS, min(total, page * PAGE_ROWS))


class Evidence:
    """The tables of the attempts that are looked at, whose files were checked once; used by several threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int], tuple[ItemTables, float]] = OrderedDict()
        self._timer: threading.Timer | None = None

    def of(self, job: jobs.Job, attempt: int | None = None) -> ItemTables:
        """Return the tables of an attempt that has ended; of the last one if none is named. Raise as `item_files`."""
        closed = job.folder.closed_attempts()
        wanted = attempt if attempt is not None else max(closed, default=0)
        key = job.folder.store.url, job.id, wanted
        with self._lock:
            found = self._kept.get(key)
        tables = found[0] if found is not None and wanted in closed else None
        tables = tables or ItemTables(jobs.item_files(job, attempt=attempt))
        with self._lock:
            tables = self._kept[key][0] if key in self._kept and wanted in closed else tables
            self._kept[key] = tables, self._clock()
            self._kept.move_to_end(key)
            self._drop()
            if self._timer is None:
                self._start_timer()
        return tables

    def forget(self, job_id: str) -> None:
        """Remove the copies of a job that was deleted."""
        with self._lock:
            for key in [key for key in self._kept if key[1] == job_id]:
                del self._kept[key]

    def _timed(self) -> None:
        """Drop idle copies from time to time, also when no other table is opened."""
        with self._lock:
            self._timer = None
            self._drop()
            if self._kept:
                self._start_timer()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(_IDLE_SECONDS, self._timed)
        self._timer.daemon = True
        self._timer.start()

    def _drop(self) -> None:
        now = self._clock()
        for key in [key for key, (_, used) in self._kept.items() if used < now - _IDLE_SECONDS]:
            del self._kept[key]
        while len(self._kept) > 1 and (len(self._kept) > _MOST_ATTEMPTS or self._size() > _MOST_BYTES):
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(tables.files.size for tables, _ in self._kept.values())


def codes_of(files: CheckedFiles) -> list[str]:
    """Return the error codes of the attempt that this version knows, in their order."""
    return sorted(code for code in files.result.codes if code in CODES)


def holds_items(job: jobs.Job) -> bool:
    """Return whether the job is one whose items can be listed: a collection."""
    return job.kind is JobKind.COLLECTION
