"""The table of jobs filters, sorts and pages; its address says all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.console.job_row import JobRow
from prefect_collect.console.job_table import SORTS, TableQuery, places, table_page
from prefect_collect.console.pages import Pages
from prefect_collect.console.tiles import tiles
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)


def row(number: int = 1, **changed: object) -> JobRow:
    """Return a row."""
    values: dict[str, object] = {
        "id": f"id-{number:05d}", "kind": JobKind.COLLECTION, "name": f"job {number}", "source": "docs",
        "status": JobStatus.SUCCESSFULLY_COMPLETED, "message": "", "created": DAY + timedelta(minutes=number),
        "started": None, "ended": None, "items": number, "bytes": number, "queued": "", "queue": "",
    }  # fmt: skip
    return JobRow(**{**values, **changed})  # type: ignore[arg-type]


@given(
    st.dictionaries(
        st.sampled_from(["status", "kind", "source", "text", "since", "until", "sort", "page", "x"]), st.text()
    )
)
def test_any_address_is_a_query(parameters: dict[str, str]) -> None:
    """Whatever an address holds gives a page, and the query's own address gives the same query."""
    query = TableQuery.of(parameters)
    assert table_page([row()], query).page == 1
    assert TableQuery.of(dict(parse_qsl(query.address(), keep_blank_values=True))) == query


@pytest.mark.parametrize(("page", "shown"), [("9" * 5000, 1), ("-1", 1), ("²", 1), ("1e3", 1), ("7", 7)])
def test_pages_that_cannot_be(page: str, shown: int) -> None:
    """A page that is no number, or one of thousands of digits, is the first one."""
    assert TableQuery.of({"page": page}).page == shown


@given(st.lists(st.integers(0, 9), max_size=60), st.sampled_from(sorted(SORTS)), st.booleans(), st.integers(1, 9))
def test_pages_are_all_rows_in_order(numbers: list[int], column: str, descending: bool, size: int) -> None:
    """The pages together hold each row once, in the order of the column."""
    rows = [row(index, items=number, bytes=number, name=f"n{number}") for index, number in enumerate(numbers)]
    query = TableQuery(sort=f"-{column}" if descending else column)
    pages = [table_page(rows, TableQuery(sort=query.sort, page=page), size) for page in range(1, 70)]
    shown = [one for page in pages[: pages[0].pages] for one in page.rows]
    assert sorted(one.id for one in shown) == sorted(one.id for one in rows)
    values = [SORTS[column](one) for one in shown]
    assert values == sorted(values, reverse=descending)
    assert pages[-1].page == pages[0].pages  # a page beyond the last is the last


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (TableQuery(), ["a", "b", "c"]),
        (TableQuery(status="Completed"), ["a", "b"]),
        (TableQuery(status="Partially completed"), ["b"]),
        (TableQuery(kind="export"), ["c"]),
        (TableQuery(source="mail"), ["c"]),
        (TableQuery(text="STRASSE"), ["b"]),
        (TableQuery(text="timeout"), ["c"]),
        (TableQuery(text="zoË"), ["a"]),
        (TableQuery(since="2026-02-01"), ["b", "c"]),
        (TableQuery(until="2026-02-01"), ["a", "b"]),
        (TableQuery(since="2026-02-01", until="2026-02-01"), ["b"]),
        (TableQuery(status="Failed", source="docs"), []),
    ],
)
def test_filters(query: TableQuery, found: list[str]) -> None:
    """Each filter leaves out what does not match; texts match in any case; days are whole days of UTC."""
    rows = [
        row(1, id="a", created=DAY, custodian="Zoë"),
        row(2, id="b", created=DAY + timedelta(days=1), status=JobStatus.PARTIALLY_COMPLETED, name="Straße"),
        row(3, id="c", created=DAY + timedelta(days=2), status=JobStatus.FAILED, kind=JobKind.EXPORT, source="mail",
            message="Timeout of the source"),
    ]  # fmt: skip
    assert sorted(one.id for one in table_page(rows, query).rows) == found


def test_the_column_of_custodians_is_there_when_one_is_named() -> None:
    """The table has a column for custodians only if a job on its page has one; what it says is data."""
    pages, query = Pages(), TableQuery()
    for custodian, column in (("", False), ("<b>Zoë</b>", True)):
        table = table_page([row(1), row(2, custodian=custodian)], query)
        shown = pages.text("_jobs.html", query=query, table=table, places={}, tiles=[], queues=[], complete=True)
        assert ("Custodian" in shown, "&lt;b&gt;Zoë" in shown, "<b>Zoë" in shown) == (column, column, False)


def test_places_are_those_of_each_queue() -> None:
    """A queued job's place counts the jobs of its own queue that were queued before it; others have none."""
    queued = JobStatus.QUEUED
    rows = [
        row(1, id="second", status=queued, queue="collection:docs", queued="2026-01-31T12:00:02+00:00"),
        row(2, id="first", status=queued, queue="collection:docs", queued="2026-01-31T12:00:01+00:00"),
        row(3, id="other", status=queued, queue="collection:mail", queued="2026-01-31T12:00:03+00:00"),
        row(4, id="running", status=JobStatus.IN_PROGRESS, queue="collection:docs"),
        row(5, id="not yet", status=queued),
    ]
    assert places(rows) == {"first": 1, "second": 2, "other": 1}


def test_the_tiles_are_the_snapshot() -> None:
    """There is a tile for each group of the specification; Partially completed counts under Completed, and is named."""
    rows = [row(n, status=status) for n, status in enumerate([*JobStatus, JobStatus.PARTIALLY_COMPLETED, None])]
    shown = {tile.group: (tile.jobs, tile.partially) for tile in tiles(rows)}
    assert list(shown) == list(SnapshotGroup)
    assert shown[SnapshotGroup.COMPLETED] == (3, 2)
    assert {number for group, number in shown.items() if group is not SnapshotGroup.COMPLETED} == {(1, 0)}
