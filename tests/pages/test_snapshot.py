"""The Collections Snapshot: every job is counted once, in the group that the specification says."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_collect.pages.snapshot import SOURCES_SHOWN, JobLine, Moved, snapshot_page, take_snapshot
from prefect_collect.statuses import JobKind, JobStatus, SnapshotGroup, job_statuses

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
MARKDOWN = MarkdownIt("commonmark").enable("table")
KINDS = [(kind, status) for kind in JobKind for status in job_statuses(kind)]
LINES = st.builds(
    lambda of, source, items: JobLine(of[0], of[1], source, items, 7 * items),
    st.sampled_from([*KINDS, (JobKind.EXPORT, None)]),
    st.sampled_from("abc"),
    st.integers(0, 10**9),
)


def cells(page: str) -> list[list[str]]:
    """Return the rows of all tables of the page, as a reader sees them."""
    rows: list[list[str]] = []
    for token in MARKDOWN.parse(page):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and token.level > 2:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_partially_completed_shows_under_completed() -> None:
    """As the specification says, a Partially completed job is shown as Completed in the Collections Snapshot."""
    done = [JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED]
    snapshot = take_snapshot(JobLine(JobKind.COLLECTION, status, "docs", 10, 1024) for status in done)
    assert snapshot.groups[JobKind.COLLECTION, SnapshotGroup.COMPLETED] == 3
    page = snapshot_page(snapshot, WHEN)
    assert ["Completed", "3", "0"] in cells(page)
    assert "2 are Partially completed" in page
    assert ["collected", "3", "30", "3.0 KiB"] in cells(page)
    assert ["docs", "3", "30", "3.0 KiB", "0", "0", "0 bytes"] in cells(page)


def test_duplicates_of_all_exports() -> None:
    """The page sums them up, and says how many are not delivered again; without duplicates it says nothing of them."""
    lines = [
        JobLine(JobKind.EXPORT, JobStatus.SUCCESSFULLY_COMPLETED, "docs", 10, 10, *two) for two in ((4, 0), (3, 1))
    ]
    page = snapshot_page(take_snapshot(lines), WHEN)
    assert "Duplicates: 7 items of exports with the bytes of another; 1 is not delivered again." in page
    assert "Duplicates" not in snapshot_page(take_snapshot([]), WHEN)


@given(st.lists(LINES, max_size=50))
def test_every_job_is_counted_once(lines: list[JobLine]) -> None:
    """The groups and the unknown jobs, and also the sources, add up to all jobs, items and bytes."""
    snapshot = take_snapshot(lines)
    assert sum(snapshot.groups.values()) + sum(snapshot.unknown.values()) == len(lines)
    for kind in JobKind:
        parts = sum((moved[kind] for moved in snapshot.sources.values()), Moved())
        assert parts == snapshot.totals[kind]
        assert parts.items == sum(line.items for line in lines if line.kind is kind)


def test_a_status_that_cannot_be_read_is_said_to_be_unknown() -> None:
    """A job whose status cannot be read is counted in the row "unknown", which is there only with such a job."""
    page = snapshot_page(take_snapshot([JobLine(JobKind.EXPORT, None)]), WHEN)
    assert ["unknown", "0", "1"] in cells(page)
    assert "unknown" not in snapshot_page(take_snapshot([]), WHEN)


def test_groups_that_a_kind_never_has_are_no_zeros() -> None:
    """A group that a kind never has shows a dash: Drafted for exports, Awaiting collection for collections."""
    rows = cells(snapshot_page(take_snapshot([]), WHEN))
    assert ["Drafted", "0", "–"] in rows
    assert ["Awaiting collection", "–", "0"] in rows


@given(st.text("`|*_[]()<>#!&;\\~-+=. \n\r\t1a:/\0", max_size=30))
def test_a_source_s_name_changes_nothing_of_the_page(name: str) -> None:
    """Whatever characters a source's name has, the table keeps its columns and rows."""
    page = snapshot_page(take_snapshot([JobLine(JobKind.COLLECTION, JobStatus.FAILED, f"n{name}")]), WHEN)
    usual = snapshot_page(take_snapshot([JobLine(JobKind.COLLECTION, JobStatus.FAILED, "n")]), WHEN)
    assert [len(row) for row in cells(page)] == [len(row) for row in cells(usual)]


def test_many_sources_are_summed_up() -> None:
    """The page names the largest sources, and sums the others up in one row."""
    lines = [JobLine(JobKind.COLLECTION, JobStatus.FAILED, f"s{n}", 1, n) for n in range(SOURCES_SHOWN + 5)]
    rows = cells(snapshot_page(take_snapshot(lines), WHEN))
    assert rows[-1][:4] == ["5 more", "5", "5", "10 bytes"]
