"""The tables of items and errors show exactly the rows that a search takes, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from prefect_collect import jobs
from prefect_collect.console.item_query import ItemQuery
from prefect_collect.console.item_tables import PAGE_ROWS, Evidence, ItemTables
from prefect_collect.errors import JobNotFound
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.parameters import size_of
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, held, new_job, unsuccessful

KINDS: list[Any] = ["good", "good", "good", "denied", "skipped"]
THINGS = {f"{'Mail' if n % 2 else 'docs'}/{n:03d}.eml": Thing(KINDS[n % 5], b"x" * n) for n in range(170)}
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


def collected() -> JobFolder:
    """Return a collection of 102 items, with 34 that failed and 34 that were skipped."""
    folder = new_job(MemoryStore(), source := MemorySource(dict(THINGS)))
    attempt(folder, source)
    return folder


@pytest.fixture(scope="module")
def folder() -> JobFolder:
    """The collection."""
    return collected()


@pytest.mark.parametrize(
    "query",
    [
        ItemQuery(),
        ItemQuery(path="mail/"),
        ItemQuery(path="MAIL/1"),
        ItemQuery(path=".*"),
        ItemQuery(outcome="succeeded"),
        ItemQuery(outcome="skipped"),
        ItemQuery(outcome="not_attempted"),
        ItemQuery(code="access_denied", path="docs"),
        ItemQuery(code="access_denied", outcome="skipped"),
        ItemQuery(code="access_denied", outcome="succeeded"),
        ItemQuery(smallest="10", largest="100"),
        ItemQuery(smallest="0.1 KiB"),
        ItemQuery(since=TODAY, until="2999-01-01", path="0"),
        ItemQuery(since="2999-01-01"),
        ItemQuery(until="2001-01-01"),
        ItemQuery.of({"until": "9999-12-31", "smallest": "999999999 TB"}),
        ItemQuery.of({"since": "9999-12-31", "largest": "999999999 TB"}),
    ],
)
def test_a_search_takes_what_matches(folder: JobFolder, query: ItemQuery) -> None:
    """All pages together show the held items that match, then the others that match, each once and in its order; the
    error report is the same without the held ones. The number of a row is that of its item in all searches.
    """
    tables = ItemTables(CheckedFiles(folder, 1))
    given = [*held(folder).values()]
    rows = [("succeeded", None, row["original_path"], row["size"], row["collected_at"]) for row in given]
    rows += [
        (row["outcome"], row["error_code"], row["path"], row["size"], row["last_failed_at"])
        for row in unsuccessful(folder).values()
    ]
    expected = [number for number, row in enumerate(rows) if _matches(query, *row)]
    shown = _pages(tables, query, errors=False)
    assert [row.number for row in shown] == expected
    assert [(row.outcome, row.code or None, row.path, row.size, row.at) for row in shown] == [rows[n] for n in expected]
    reported = _pages(tables, query, errors=True)
    assert [row.number for row in reported] == [number for number in expected if number >= len(given)]
    assert [row.report for row in reported] == [row.number - len(given) for row in reported]
    assert all(row.can_retry is (row.outcome == "failed") and row.action and row.who for row in reported)


def _pages(tables: ItemTables, query: ItemQuery, *, errors: bool) -> list[Any]:
    rows: list[Any] = []
    read = tables.errors if errors else tables.items
    last = read(replace(query, page=99))
    for number in range(1, last.pages + 1):
        page = read(replace(query, page=number))
        assert (page.total, page.pages, page.page) == (last.total, last.pages, number)
        assert len(page.rows) == PAGE_ROWS or number == last.pages
        rows += page.rows
    assert len(rows) == last.total
    return rows


def _matches(
    query: ItemQuery, outcome: str, code: str | None, path: str, size: int | None, at: datetime | None
) -> bool:
    least, most = size_of(query.smallest), size_of(query.largest)
    return (
        query.path.lower() in path.lower()
        and query.outcome in ("", outcome)
        and query.code in ("", code)
        and (least is None or (size is not None and size >= least))
        and (most is None or (size is not None and size <= most))
        and (not query.since or (at is not None and f"{at:%Y-%m-%d}" >= query.since))
        and (not query.until or (at is not None and f"{at:%Y-%m-%d}" <= query.until))
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("1.5 MB", 3 << 19), ("2GiB", 2 << 30), ("10 k", 10240), ("-1", None), ("1e3", None),
     ("", None), ("1 MBs", None), ("9" * 30, None), ("5000000000", 5_000_000_000), ("999999999 TB", 2**63 - 1)],
)  # fmt: skip
def test_sizes_are_understood(text: str, size: int | None) -> None:
    """A size is a number with an optional binary unit; what is none is left out of the search."""
    assert size_of(text) == size
    assert ItemQuery.of({"smallest": text}).smallest == (text if size is not None else "")


def test_addresses_of_searches() -> None:
    """An address has what differs from the default and makes the same query; what is not understood is left out."""
    query = ItemQuery(page=3, path="a&b=ü", outcome="failed", since="2026-01-31", attempt="2")
    assert query.address(page=1) == "path=a%26b%3D%C3%BC&outcome=failed&since=2026-01-31&attempt=2"
    assert ItemQuery.of({"path": " x ", "page": "2"}) == ItemQuery(page=2, path="x")
    wrong = {"page": "-1", "outcome": "fine", "code": "none", "since": "today", "until": "2026-02-30", "attempt": "x"}
    assert ItemQuery.of(wrong) == ItemQuery()
    assert (query.is_filtered, ItemQuery(page=2, attempt="1").is_filtered) == (True, False)


def test_evidence_is_checked_once_and_not_kept_for_good() -> None:
    """Copies serve many looks; they are dropped some time after the last one, and when the job is deleted. An attempt
    that has not ended has no tables.
    """
    folder, now = collected(), [0.0]
    job = jobs.Job(
        folder.job_id, JobKind.COLLECTION, "", JobStatus.PARTIALLY_COMPLETED, TaskStatus.COMPLETED, "", None, folder
    )
    evidence = Evidence(clock=lambda: now[0])
    tables = evidence.of(job)
    assert evidence.of(job) is evidence.of(job, 1) is tables
    now[0] += 800
    assert evidence.of(job) is tables
    now[0] += 901
    other = jobs.Job(
        (second := collected()).job_id, JobKind.COLLECTION, "", None, TaskStatus.COMPLETED, "", None, second
    )
    evidence.of(other)
    renewed = evidence.of(job)
    assert renewed is not tables
    evidence.forget(job.id)
    assert evidence.of(job) is not renewed
    with pytest.raises(JobNotFound):
        evidence.of(job, 2)
